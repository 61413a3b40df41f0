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
	down     error
	foreign  [][]string // as they were saved
	left     [][]string // unmatched recipients, as they were saved
	counted  int        // unmatched recipients
	hold     bool
}

func (m *routed) Manifest(context.Context, int64) (*ledger.Manifest, error) {
	return &m.manifest, m.down
}

func (m *routed) SaveLeftOut(_ context.Context, id int64, foreign, unmatched []string) error {
	if id != 7 {
		return fault.New(fault.NotFound, "no such email")
	}
	m.foreign, m.left = append(m.foreign, foreign), append(m.left, unmatched)
	m.manifest.Foreign, m.manifest.Unmatched = foreign, unmatched
	return nil
}

func (m *routed) Message(context.Context, *ledger.Manifest) (*mail.Message, error) {
	m.reads++
	return m.message, nil
}

func (m *routed) route(t *testing.T, when config.When, in contract.RouteInput) (contract.RouteResult, error) {
	t.Helper()
	r, err := rules.Of(&config.File{
		Routes:  []config.Route{{Name: "r", When: when, To: []string{"d"}}},
		Tenants: []config.Tenant{{Name: "acme", Domains: []string{"acme.example"}}},
		Destinations: []config.Destination{{Name: "d", Tenants: []string{"acme"}}, {Name: "theirs", Tenants: []string{"globex"}},
			{Name: "x", Tenants: []string{"acme"}}, {Name: "y", Tenants: []string{"acme"}}},
		Unmatched: map[bool]string{true: config.UnmatchedHold}[m.hold],
	})
	require.NoError(t, err)
	s, err := activities.NewRoute(activities.RouteDeps{Ledger: m, Messages: m, Rules: r, Now: noon,
		CountUnmatched: func(tenant string, n int) {
			require.Equal(t, "acme", tenant)
			m.counted += n
		}})
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

	m.down = fault.New(fault.StorageUnavailable, "away")
	_, err = m.route(t, config.When{}, contract.RouteInput{Email: email})
	require.ErrorContains(t, err, string(fault.StorageUnavailable))
}

// TestForeignRecipientsAreRecordedAndNotMatched: of a mail to several companies those
// that are not the tenant's are in the record, and no rule takes the mail for them.
func TestForeignRecipientsAreRecordedAndNotMatched(t *testing.T) {
	t.Parallel()
	email := contract.Email{ID: 7, Tenant: "acme", Source: "mailparse"}
	m := &routed{manifest: ledger.Manifest{Recipients: []string{
		"bob@acme.example", "<support@globex.example>", "support@globex.example", "support@elsewhere.example",
	}}}
	foreign := []string{"support@globex.example", "support@elsewhere.example"}
	got, err := m.route(t, config.When{Recipient: "support@*"}, contract.RouteInput{Email: email, AnyRecipient: true})
	require.NoError(t, err)
	require.Empty(t, got.Destinations, "no foreign recipient is matched beside one of the tenant's own, whatever was waived")
	require.Equal(t, contract.Unroutable, got.Holds[0].Reason)
	require.NotContains(t, got.Holds[0].Detail, "@")
	require.Equal(t, [][]string{foreign}, m.foreign)

	got, err = m.route(t, config.When{Recipient: "bob@*"}, contract.RouteInput{Email: email})
	require.NoError(t, err)
	require.Equal(t, []string{"d"}, got.Destinations)
	require.Len(t, m.foreign, 1, "what is in the record is not written again")

	m.manifest.Overlay = &contract.Edit{Recipients: []string{"bob@acme.example"}}
	_, err = m.route(t, config.When{Recipient: "bob@*"}, contract.RouteInput{Email: email})
	require.NoError(t, err)
	require.Equal(t, [][]string{foreign, nil}, m.foreign, "an edit of the recipients is in the record too")
}

// A recipient that no rule takes was dropped without a trace when a rule took another.
func TestUnmatchedRecipientsAreRecordedCountedAndHeld(t *testing.T) {
	t.Parallel()
	in := contract.RouteInput{Email: contract.Email{ID: 7, Tenant: "acme", Source: "mailparse"}}
	m := &routed{manifest: ledger.Manifest{Recipients: []string{
		"support@acme.example", "<Sales@acme.example>", "Sales@acme.example", "bob@elsewhere.example",
	}}}
	for range 2 { // a repeat counts nothing again
		got, err := m.route(t, config.When{Recipient: "support@*"}, in)
		require.NoError(t, err)
		require.Empty(t, got.Holds, "the default is to note it")
		require.Equal(t, []string{"d"}, got.Destinations)
	}
	require.Equal(t, [][]string{{"Sales@acme.example"}}, m.left)
	require.Equal(t, 1, m.counted)

	m.hold = true
	got, err := m.route(t, config.When{Recipient: "support@*"}, in)
	require.NoError(t, err)
	require.Equal(t, []contract.Hold{{Reason: contract.RecipientUnmatched, Detail: "no route takes one of the recipients"}}, got.Holds)
	require.Equal(t, []string{"d"}, got.Destinations, "an approval goes on with the rules that match")

	m.manifest.Overlay = &contract.Edit{Recipients: []string{"support@acme.example"}}
	got, err = m.route(t, config.When{Recipient: "support@*"}, in)
	require.NoError(t, err)
	require.Empty(t, got.Holds)
	require.Equal(t, [][]string{{"Sales@acme.example"}, nil}, m.left)
}

// TestEditCannotRouteToAnotherTenant: an edit that names another tenant's destination,
// as one may that was decided on before the configuration changed, holds the mail.
func TestEditCannotRouteToAnotherTenant(t *testing.T) {
	t.Parallel()
	email := contract.Email{ID: 7, Tenant: "acme", Source: "mailparse"}
	for name, to := range map[string][]string{"theirs": {"theirs"}, "both": {"d", "theirs"}, "no more": {"gone"}} {
		m := &routed{manifest: ledger.Manifest{
			Recipients: []string{"support@acme.example"}, Overlay: &contract.Edit{To: to},
		}}
		for _, anyone := range []bool{false, true} {
			got, err := m.route(t, config.When{Recipient: "nobody@*"}, contract.RouteInput{Email: email, AnyRecipient: anyone})
			require.NoError(t, err)
			require.NotContains(t, got.Destinations, "theirs", name)
			require.NotContains(t, got.Destinations, "gone", name)
			require.Len(t, got.Holds, 1, name)
			require.Equal(t, contract.Unroutable, got.Holds[0].Reason, name)
		}
	}
}
