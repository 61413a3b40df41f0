package activities_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

// routed is one mail in front of Route.
type routed struct {
	manifest ledger.Manifest
	message  *mail.Message
	reads    int
	away     error
}

func (m *routed) Manifest(context.Context, int64) (*ledger.Manifest, error) {
	return &m.manifest, m.away
}

func (m *routed) Message(context.Context, *ledger.Manifest) (*mail.Message, error) {
	m.reads++
	return m.message, nil
}

func (m *routed) route(t *testing.T, when config.When, in contract.RouteInput) (contract.RouteResult, error) {
	t.Helper()
	r, err := rules.New([]config.Route{{Name: "r", When: when, To: []string{"d"}}},
		[]config.Tenant{{Name: "acme", Domains: []string{"acme.example"}}})
	require.NoError(t, err)
	s, err := activities.NewRoute(activities.RouteDeps{Ledger: m, Messages: m, Rules: r, Now: noon})
	require.NoError(t, err)
	return s.Route(t.Context(), in)
}

func TestRoute(t *testing.T) {
	t.Parallel()
	email := contract.Email{ID: 7, Tenant: "acme", Source: "mailparse"}
	m := &routed{
		manifest: ledger.Manifest{Recipients: []string{"support@acme.example"}, Sender: "ann@partner.example", Subject: "hello"},
		message:  &mail.Message{Headers: []mail.Header{{Name: "X-Kind", Value: "invoice"}}},
	}
	got, err := m.route(t, config.When{Recipient: "support@*", Sender: "ann@*", Subject: "hello"}, contract.RouteInput{Email: email})
	require.NoError(t, err)
	require.Equal(t, contract.RouteResult{
		Routes: []string{"r"}, Destinations: []string{"d"}, Routed: contract.Routed{AtUnixMilli: noon().UnixMilli()},
	}, got)
	require.Zero(t, m.reads, "no rule asks for headers")

	got, err = m.route(t, config.When{Header: map[string]string{"x-kind": "invoice"}}, contract.RouteInput{Email: email})
	require.NoError(t, err)
	require.Equal(t, []string{"r"}, got.Routes)
	require.Equal(t, 1, m.reads)

	got, err = m.route(t, config.When{Recipient: "sales@*"}, contract.RouteInput{Email: email})
	require.NoError(t, err)
	require.Equal(t, contract.Unroutable, got.Holds[0].Reason)

	m.manifest.Recipients = []string{"support@evil.example"}
	got, err = m.route(t, config.When{}, contract.RouteInput{Email: email})
	require.NoError(t, err)
	require.Equal(t, contract.RecipientForeign, got.Holds[0].Reason)
	got, err = m.route(t, config.When{}, contract.RouteInput{Email: email, AnyRecipient: true})
	require.NoError(t, err)
	require.Empty(t, got.Holds)

	m.away = fault.New(fault.StorageUnavailable, "away")
	_, err = m.route(t, config.When{}, contract.RouteInput{Email: email})
	require.ErrorContains(t, err, string(fault.StorageUnavailable))
}
