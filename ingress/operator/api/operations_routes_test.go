package api

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

// operationsLedger has no numbers and one email, that of the reader.
type operationsLedger struct {
	*fakeReader

	control *ledger.Control
}

func (*operationsLedger) Controls(context.Context) ([]ledger.Control, error) { return nil, nil }

func (*operationsLedger) DestinationStatuses(context.Context) ([]ledger.DestinationStatus, error) {
	return nil, nil
}

func (*operationsLedger) Backlogs(context.Context, []string) (map[string]ledger.Backlog, error) {
	return nil, nil //nolint:nilnil // no destination has a backlog
}

func (*operationsLedger) WorkerReports(context.Context) ([]ledger.WorkerReport, error) {
	return nil, nil
}

func (*operationsLedger) Overview(context.Context, time.Time, []string) (*ledger.Overview, error) {
	return &ledger.Overview{}, nil
}

func (l *operationsLedger) SetControl(_ context.Context, c ledger.Control, _ contract.Via) error {
	l.control = &c
	return nil
}

type noMessages struct{}

func (noMessages) Message(context.Context, *ledger.Manifest) (*mail.Message, error) {
	return &mail.Message{}, nil
}

type noAcks struct{}

func (noAcks) Acks() (*ledger.Ack, error) { return &ledger.Ack{}, nil }

// operationsService knows one destination.
func operationsService(t *testing.T, l *operationsLedger) *operations.Service {
	t.Helper()
	cfg := operations.Config{
		Destinations: []config.Destination{{Name: "crm", Tenants: []string{"default"}}},
		Tenants:      []config.Tenant{{Name: "default"}, {Name: "acme"}},
	}
	compiled, err := rules.New(cfg.Routes, cfg.Tenants, cfg.Destinations)
	require.NoError(t, err)
	d, err := operations.New(cfg, operations.Deps{Ledger: l, Messages: noMessages{}, Acks: noAcks{}, Rules: compiled,
		Health: func(context.Context) (string, map[string]string) { return "ready", nil }})
	require.NoError(t, err)
	return d
}

// operationsWalks: numbers and samples are for every operator, a stored email for those who may
// see it, and a destination belongs to the tenants that it serves.
func operationsWalks() []walk {
	const one, note = "/api/v1/destinations/:name", `{"note":"n"}`
	return []walk{
		{method: http.MethodGet, pattern: "/api/v1/overview", path: "/api/v1/overview", least: access.Viewer, shared: true},
		{method: http.MethodGet, pattern: "/api/v1/destinations", path: "/api/v1/destinations", least: access.Viewer, shared: true},
		{method: http.MethodPost, pattern: one + "/pause", path: "/api/v1/destinations/crm/pause", body: note,
			least: access.Operator},
		{method: http.MethodPost, pattern: one + "/resume", path: "/api/v1/destinations/crm/resume", body: note,
			least: access.Operator},
		{method: http.MethodGet, pattern: "/api/v1/routes", path: "/api/v1/routes", least: access.Viewer, shared: true},
		{method: http.MethodPost, pattern: "/api/v1/routes/test", path: "/api/v1/routes/test", body: `{"sender":"a@b"}`,
			least: access.Viewer, shared: true},
		{method: http.MethodPost, pattern: "/api/v1/routes/test", path: "/api/v1/routes/test", body: `{"email":"evt/1+2 %41"}`,
			least: access.Viewer},
	}
}
