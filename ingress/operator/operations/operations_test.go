package operations_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/api"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/decision"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/accesstest"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

// fakeLedger has one email, and remembers what it was asked.
type fakeLedger struct {
	mu       sync.Mutex
	controls []ledger.Control
	via      []contract.Via
	statuses []ledger.DestinationStatus
	waits    *time.Time
	reports  []ledger.WorkerReport
	tenants  [][]string
	measured int
	hold     chan struct{} // where not nil, Overview waits for it
	edit     *contract.Edit
	looked   ledger.Lookup // the last one
	err      error
}

func (l *fakeLedger) FindEmail(_ context.Context, look ledger.Lookup) (*ledger.EmailDetail, error) {
	l.looked = look
	if look.EventID != "evt_1" || look.Source != "" && look.Source != "mailparse" || look.Tenants != nil && !slices.Contains(look.Tenants, "default") {
		return nil, fault.New(fault.NotFound, "no email with this id")
	}
	return &ledger.EmailDetail{EmailRow: ledger.EmailRow{ID: 7, EventID: look.EventID, Source: "mailparse", Tenant: "default"}}, nil
}

func (l *fakeLedger) Manifest(_ context.Context, id int64) (*ledger.Manifest, error) {
	return &ledger.Manifest{
		EmailID: id, Sender: "ann@partner.example", Recipients: []string{"sales@yourapp.example"}, Subject: "An order", Overlay: l.edit,
	}, nil
}

func (l *fakeLedger) Controls(context.Context) ([]ledger.Control, error) { return l.controls, l.err }

func (l *fakeLedger) SetControl(_ context.Context, c ledger.Control, via contract.Via) error {
	l.controls, l.via = append(l.controls, c), append(l.via, via)
	return l.err
}

func (l *fakeLedger) DestinationStatuses(context.Context) ([]ledger.DestinationStatus, error) {
	return l.statuses, nil
}

func (l *fakeLedger) Backlogs(_ context.Context, tenants []string) (map[string]ledger.Backlog, error) {
	l.tenants = append(l.tenants, tenants)
	return map[string]ledger.Backlog{"crm": {Retrying: 3, Held: 1, NextAttemptAt: l.waits}}, nil
}

func (l *fakeLedger) Overview(_ context.Context, now time.Time, tenants []string) (*ledger.Overview, error) {
	l.mu.Lock()
	l.tenants, l.measured = append(l.tenants, tenants), l.measured+1
	hold := l.hold
	l.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return &ledger.Overview{Now: now}, l.err
}

func (l *fakeLedger) WorkerReports(context.Context) ([]ledger.WorkerReport, error) {
	return l.reports, nil
}

func (l *fakeLedger) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.measured
}

// fakeMessages returns one header for every email.
type fakeMessages struct{ err error }

func (m fakeMessages) Message(context.Context, *ledger.Manifest) (*mail.Message, error) {
	return &mail.Message{Headers: []mail.Header{{Name: "X-Priority", Value: "1"}}}, m.err
}

type fakeAcks struct{}

func (fakeAcks) Acks() (*ledger.Ack, error) {
	return &ledger.Ack{Count: 10, Within: 9, ObjectiveSeconds: 0.5}, nil
}

type testBundle struct {
	*operations.Service
	status string // of the ingress
	checks map[string]string
	ledger *fakeLedger
	now    time.Time
}

func setup(t *testing.T, more ...config.Route) *testBundle {
	t.Helper()
	b := &testBundle{status: "ready", ledger: &fakeLedger{}, now: time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)}
	cfg := operations.Config{
		Destinations: []config.Destination{
			{Name: "crm", Tenants: []string{"default"}, URL: "https://crm.example:8443/hooks/s3cret?key=s3cret"},
			{Name: "a b", Tenants: []string{"default", "acme"}, URL: "https://b.example/", MaxInFlight: 4},
			{Name: "theirs", Tenants: []string{"acme"}, URL: "https://theirs.example/"},
		},
		Routes: append([]config.Route{
			{Name: "urgent", When: config.When{Header: map[string]string{"X-Priority": "1"}}, To: []string{"a b"}, Hold: true},
			{Name: "sales", When: config.When{Recipient: "sales@*", Tenant: "default"}, To: []string{"crm"}},
			{Name: "secret", When: config.When{Tenant: "acme", Recipient: "board@*"}, To: []string{"theirs"}},
			{Name: "all", When: config.When{Sender: "*@partner.example", Subject: "*order*", Source: "mailparse"}, To: []string{"crm"}},
		}, more...),
		Tenants: []config.Tenant{{Name: "default", Domains: []string{"yourapp.example"}}, {Name: "acme"}},
		Sources: []config.Source{{Name: "mailparse", Tenant: "default"}, {Name: "postmark", Tenant: "acme"}},
	}
	compiled, err := rules.New(cfg.Routes, cfg.Tenants, cfg.Destinations)
	require.NoError(t, err)
	b.Service, err = operations.New(cfg, operations.Deps{
		Ledger: b.ledger, Messages: fakeMessages{}, Acks: fakeAcks{}, Rules: compiled, Now: func() time.Time { return b.now },
		Health: func(context.Context) (string, map[string]string) { return b.status, b.checks },
	})
	require.NoError(t, err)
	return b
}

// people are those who ask.
func people() map[string]access.Identity {
	return map[string]access.Identity{
		"viewer":   {Name: "vera", Roles: map[string]access.Role{access.Everywhere: access.Viewer}},
		"operator": {Name: "olga", Roles: map[string]access.Role{access.Everywhere: access.Operator}},
		"local":    {Name: "lena", Roles: map[string]access.Role{"default": access.Admin}},
		"foreign":  {Name: "fred", Roles: map[string]access.Role{"acme": access.Admin}},
		"both":     {Name: "bea", Roles: map[string]access.Role{"acme": access.Operator, "default": access.Operator}},
		"half":     {Name: "hans", Roles: map[string]access.Role{"acme": access.Viewer, "default": access.Operator}},
	}
}

type tokenStore = api.Tokens

type noTokens struct{ tokenStore }

// routes are those of the API that the service answers.
func (b *testBundle) routes(t *testing.T) []access.Route {
	t.Helper()
	callers, err := access.New(access.Config{}, access.Deps{Tokens: accesstest.NewMemory(), Sessions: accesstest.NewMemory()})
	require.NoError(t, err)
	resources, err := api.New(api.Config{}, api.Deps{
		Access: callers, Operations: b.Service, Decisions: new(decision.Service), Batches: new(batch.Service), Logger: slog.New(slog.DiscardHandler),
		Reader: struct{ api.Reader }{}, Blobs: struct{ api.Blobs }{}, Editor: struct{ api.Editor }{}, Auditor: struct{ api.Auditor }{},
		Sources: new(operations.Sources), TokenList: new(operations.Tokens), Tokens: noTokens{},
	})
	require.NoError(t, err)
	return slices.DeleteFunc(resources.Routes(), func(r access.Route) bool {
		area, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/api/v1/"), "/")
		return !slices.Contains([]string{"overview", "destinations", "routes"}, area)
	})
}

// ask sends a request through the table; which roles may use a route is tested where
// the table is served, with every role.
func (b *testBundle) ask(t *testing.T, as, method, path, body string, headers ...string) (int, map[string]any) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.UseEscapedPath, engine.UnescapePathValues = true, false
	for _, r := range b.routes(t) {
		engine.Handle(r.Method, r.Path, func(c *gin.Context) {
			if err := r.Handle(c); err != nil {
				f := fault.From(err)
				c.JSON(http.StatusTeapot, map[string]any{"error": f.Code, "message": f.Public})
			}
		})
	}
	req := httptest.NewRequestWithContext(access.With(t.Context(), people()[as]), method, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	engine.ServeHTTP(rec, req)
	text, err := io.ReadAll(rec.Body)
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, json.Unmarshal(text, &out), string(text))
	return rec.Code, out
}

// refused sends a request that is refused, and returns code and sentence.
func (b *testBundle) refused(t *testing.T, as, method, path, body string, headers ...string) (code, message string) {
	t.Helper()
	status, out := b.ask(t, as, method, path, body, headers...)
	require.Equal(t, http.StatusTeapot, status, "%v", out)
	code, _ = out["error"].(string)
	message, _ = out["message"].(string)
	return code, message
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := operations.New(operations.Config{}, operations.Deps{})
	require.EqualError(t, err, "operations service: a dependency is missing")
}

func TestNoRouteTakesAQuery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, r := range b.routes(t) {
		path := strings.ReplaceAll(r.Path, ":name", "crm")
		code, message := b.refused(t, "operator", r.Method, path+"?pausd=1", `{"note":"n"}`)
		require.Equal(t, "request_invalid", code, path)
		require.Equal(t, "this takes no query", message)
	}
	require.Empty(t, b.ledger.controls)
}

// TestOverviewIsMeasuredOnce: many pages that are open cost one question, and each
// set of tenants has its own numbers.
func TestOverviewIsMeasuredOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ledger.hold = make(chan struct{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			o, err := b.Overview(t.Context(), nil)
			if err != nil || !o.Now.Equal(b.now) {
				t.Error(o, err)
			}
		})
	}
	require.Eventually(t, func() bool { return b.ledger.asked() == 1 }, 10*time.Second, time.Millisecond)

	// A caller that gives up does not end it for the others.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Overview(gone, nil)
	require.ErrorIs(t, err, context.Canceled)
	close(b.ledger.hold)
	wg.Wait()
	require.Equal(t, 1, b.ledger.asked())

	for as, want := range map[string][]string{"local": {"default"}, "foreign": {"acme"}} {
		status, out := b.ask(t, as, http.MethodGet, "/api/v1/overview", "")
		require.Equal(t, http.StatusOK, status)
		require.Nil(t, out["ack"], "it is about every tenant")
		require.Equal(t, want, b.ledger.tenants[len(b.ledger.tenants)-1], as)
	}
	require.Equal(t, 3, b.ledger.asked())
	status, out := b.ask(t, "viewer", http.MethodGet, "/api/v1/overview", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "2026-11-02T10:00:00Z", out["now"])
	ack, _ := out["ack"].(map[string]any)
	require.Equal(t, 9.0, ack["within"])
	require.Equal(t, 3, b.ledger.asked())

	b.now = b.now.Add(3 * time.Second)
	b.ledger.err = fault.Wrap(fault.StorageUnavailable, "the ledger is unavailable", errors.New("down"))
	code, _ := b.refused(t, "viewer", http.MethodGet, "/api/v1/overview", "")
	require.Equal(t, "storage_unavailable", code)
	require.Equal(t, 4, b.ledger.asked())

	// An unknown caller has no tenants, and not all.
	b.ledger.err = nil
	_, _ = b.ask(t, "", http.MethodGet, "/api/v1/destinations", "")
	require.NotNil(t, b.ledger.tenants[len(b.ledger.tenants)-1])
	require.Empty(t, b.ledger.tenants[len(b.ledger.tenants)-1])
}
