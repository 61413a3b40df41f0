package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/decision"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/blob"
	"mailroom/shared/contract"
	"mailroom/shared/edit/preview"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/rules"
)

// at is when everything in these tests happens.
var at = time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)

type fakeEmails struct {
	mu       sync.Mutex
	emails   []*ledger.EmailDetail
	messages map[int64]mail.Message
	filter   ledger.Filter
	next     string
	err      error
	manifest *ledger.Manifest // nil: made of messages
}

func (f *fakeEmails) ListEmails(_ context.Context, filter ledger.Filter) ([]ledger.EmailRow, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	var out []ledger.EmailRow
	for _, e := range f.emails {
		if (filter.State == "" || e.State == filter.State) && (filter.Reason == "" || e.Reason == filter.Reason) &&
			(filter.Query == "" || strings.Contains(e.Subject, filter.Query)) {
			out = append(out, e.EmailRow)
		}
	}
	return out, f.next, f.err
}

func (f *fakeEmails) FindEmail(_ context.Context, l ledger.Lookup) (*ledger.EmailDetail, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	for _, e := range f.emails {
		if l.Tenants != nil && !slices.Contains(l.Tenants, e.Tenant) {
			continue
		}
		named := e.EventID == l.EventID && (l.Source == "" || e.Source == l.Source)
		if l.Number == e.ID || l.Number == 0 && named {
			return e, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no email with this id")
}

func (f *fakeEmails) Body(_ context.Context, id int64) (ledger.Body, error) {
	_, stored := f.messages[id]
	return ledger.Body{Inline: []byte(`{"event_id":"x","text":"<script>alert(1)</script>"}`), Stored: stored}, nil
}

func (f *fakeEmails) Manifest(_ context.Context, id int64) (*ledger.Manifest, error) {
	if f.manifest != nil {
		return f.manifest, nil
	}
	text, err := json.Marshal(f.messages[id])
	return &ledger.Manifest{EmailID: id, Message: text, MIMEKey: "mime"}, err
}

func (f *fakeEmails) Timeline(_ context.Context, id int64) ([]ledger.TimelineEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []ledger.TimelineEntry
	for _, e := range f.emails {
		if e.ID != id {
			continue
		}
		out = append(out, ledger.TimelineEntry{At: e.ReceivedAt, Kind: ledger.TimeReceived, Title: "Received", Detail: "by source " + e.Source})
		for _, d := range e.Decisions {
			out = append(out, ledger.TimelineEntry{At: d.At, Kind: "decision", Title: string(d.Action), Detail: d.Note, Actor: d.Actor, Via: d.Via})
		}
	}
	return out, nil
}

type fakeBlobs map[string]string

func (f fakeBlobs) Get(_ context.Context, _ blob.Bucket, key string) (io.ReadCloser, error) {
	content, ok := f[key]
	if !ok {
		return nil, fault.New(fault.ContentLost, "the object is gone")
	}
	return io.NopCloser(strings.NewReader(content)), nil
}

type fakeDecisions struct {
	mu      sync.Mutex
	calls   []decision.Request
	who     []string
	numbers []int64 // of the emails
	result  contract.DecisionResult
	err     error
}

func (f *fakeDecisions) Decide(_ context.Context, who access.Identity, via contract.Via, e *ledger.EmailRow, in decision.Request) (contract.DecisionResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if via != contract.ViaConsole {
		return f.result, fmt.Errorf("the console decides via %q", via)
	}
	f.numbers = append(f.numbers, e.ID)
	f.calls, f.who = append(f.calls, in), append(f.who, who.Name)
	return f.result, f.err
}

func (f *fakeDecisions) seen() []decision.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]decision.Request(nil), f.calls...)
}

// fakes answers for every other area.
type fakes struct {
	empty   bool
	err     error
	planned []batch.Request
	started []string
	// startedAs is what was started from the dry run.
	startedAs int64
	counted   bool // the dry run is over
	steered   []string
	paused    []string
	replayed  ledger.Filter
	broken    bool // the audit chain is
	via       contract.Via
	text      string // stands in every text
}

func (f *fakes) word(s string) string {
	if f.text != "" {
		return f.text
	}
	return s
}

type fakeEditor struct{ *fakes }

func (f fakeEditor) Destinations(string) []string { return []string{"ticketing", "legacy"} }

func (f fakeEditor) Preview(_ context.Context, _ contract.Email, e contract.Edit) (preview.Preview, error) {
	if len(e.Recipients) > 0 && e.Recipients[0] == "bad" {
		return preview.Preview{}, fault.New(fault.RequestInvalid, "recipients[0] is no address")
	}
	return preview.Preview{Changes: []ledger.Change{
		{Field: f.word("recipients"), Before: f.word("suppport@yourapp.example"), After: f.word("support@yourapp.example")},
		{Field: f.word("headers.X-Case"), After: f.word("4711")},
	}}, f.err
}

type fakeOperations struct{ *fakes }

func ago(d time.Duration) *time.Time {
	t := at.Add(-d)
	return &t
}

func (f fakeOperations) Overview(context.Context, []string) (*ledger.Overview, error) {
	if f.empty {
		return &ledger.Overview{}, f.err
	}
	o := &ledger.Overview{
		Now:    at,
		States: []ledger.StateCount{{State: contract.Processing, Count: 12}, {State: contract.Retrying, Count: 102}, {State: contract.Delivered, Count: 98_211}},
		Held: []ledger.ReasonCount{
			{Reason: contract.Infected, Count: 12, Oldest: at.Add(-26 * time.Hour)}, {Reason: contract.Unroutable, Count: 431, Oldest: at.Add(-7 * time.Hour)},
			{Reason: contract.DownstreamExhausted, Count: 88, Oldest: at.Add(-95 * time.Minute)}, {Reason: contract.ManualHold, Count: 3, Oldest: at.Add(-12 * time.Minute)},
		},
		Alerts: []ledger.Alert{{
			Kind: ledger.AlertDestination, Name: "legacy", Text: f.word("legacy is down: the destination answered 503."), Help: "runbook#downstream_unavailable",
		}},
		Inbox:   ledger.Inbox{Waiting: 3, OldestSeconds: 2},
		Ack:     &ledger.Ack{Count: 100, Within: 99, ObjectiveSeconds: 1, P50: 0.0004, P95: 0.003, P99: 0.008},
		Latency: ledger.Latency{Count: 100, Within: 97, ObjectiveSeconds: 30, P50: 0.7, P95: 2, P99: 41},
	}
	for i := range 60 {
		o.Rate = append(o.Rate, ledger.Minute{At: at.Add(time.Duration(i-60) * time.Minute), Accepted: int64(40 + (i*37)%60), Delivered: int64(35 + (i*31)%50)})
	}
	return o, f.err
}

func (f fakeOperations) Destinations(context.Context, []string) ([]operations.Destination, error) {
	if f.empty {
		return nil, f.err
	}
	gone := at.Add(time.Hour)
	return []operations.Destination{
		{Name: f.word("ticketing"), Host: f.word("tickets.yourapp.example"), Breaker: "closed", InFlight: 4},
		{Name: "legacy", Host: "10.0.0.5", Breaker: "open", LastFailureAt: ago(time.Minute), LastFailure: f.word("the destination answered 503"),
			LastSuccessAt: ago(time.Hour), NextProbeAt: ago(-30 * time.Second), Backlog: ledger.Backlog{Retrying: 88, Held: 88, Oldest: ago(95 * time.Minute)}},
		{Name: "crm", Host: "crm.yourapp.example", Paused: &ledger.Control{Actor: f.word("ada"), At: at.Add(-time.Hour), Note: f.word("they migrate")},
			Backlog: ledger.Backlog{Retrying: 14, Oldest: ago(time.Hour)}},
		{Name: "moved", GoneUntil: &gone, Breaker: "closed"},
	}, f.err
}

func (f fakeOperations) MayPause(who access.Identity, _ string) bool {
	return who.In(access.Everywhere) >= access.Operator
}

func (f fakeOperations) SetPaused(_ context.Context, who access.Identity, via contract.Via, name string, paused bool, _ string) error {
	if !f.MayPause(who, name) {
		return fault.New(fault.Forbidden, "it serves other tenants too")
	}
	f.paused = append(f.paused, map[bool]string{true: "pause ", false: "resume "}[paused]+name+" via "+string(via))
	return f.err
}

func (f fakeOperations) RouteRows([]string) (string, []operations.RouteRow) {
	if f.empty {
		return "1", nil
	}
	return "1", []operations.RouteRow{
		{Name: f.word("support"), When: map[string]string{"recipient": f.word("support@*")}, To: []string{f.word("ticketing")}},
		{Name: "legal", Header: map[string]string{"X-Case": "*"}, To: []string{"legacy"}, Hold: true},
	}
}

func (f fakeOperations) Choices(tenants []string) operations.Choices {
	c := operations.Choices{Tenants: []string{"default", "other"}, Sources: []string{"mailparse", "postmark"}, Destinations: []string{"ticketing", "legacy"}}
	if tenants != nil {
		c.Tenants, c.Sources = tenants, c.Sources[:1]
	}
	return c
}

func (f fakeOperations) Test(_ context.Context, _ access.Identity, in operations.Sample) (rules.Explanation, error) {
	if in.Recipients[0] == "nobody@elsewhere.example" {
		return rules.Explanation{Holds: []contract.Hold{{Reason: contract.RecipientForeign, Detail: f.word("no recipient is ours")}}}, nil
	}
	return rules.Explanation{
		Routes: []string{f.word("support")}, Destinations: []string{f.word("ticketing")},
		Rules: []rules.RuleVerdict{
			{Name: f.word("support"), Matched: true, Why: f.word("recipient support@yourapp.example")}, {Name: "legal", Why: "header X-Case is not there"},
		},
		Recipients: []rules.Recipient{{Mailbox: f.word("support@yourapp.example"), Tag: f.word("case")}},
	}, f.err
}

// noChanges never sees any.
type noChanges struct{}

func (noChanges) Pulse(context.Context, []int64) (map[string]string, map[int64]string, error) {
	return nil, nil, nil
}

// samples are the emails of an ordinary day.
func samples() *fakeEmails {
	closed := at.Add(-time.Hour)
	f := &fakeEmails{messages: map[int64]mail.Message{}}
	row := func(id int64, state contract.State, reason contract.Reason, subject, from string, to ...string) *ledger.EmailDetail {
		e := &ledger.EmailDetail{EmailRow: ledger.EmailRow{
			ID: id, Version: 10 * id, EventID: "evt_" + strings.Repeat("0", 3) + string(rune('0'+id)), WorkflowID: "evt_000" + string(rune('0'+id)), Source: "mailparse", Tenant: "default",
			State: state, Reason: reason, Size: 48_213, ReceivedAt: at.Add(-time.Duration(id*37) * time.Minute), Subject: subject, From: from, To: to,
			MessageID: "<CA+4711@mail.elsewhere.example>",
		}}
		f.emails = append(f.emails, e)
		f.messages[id] = mail.Message{Subject: subject, Text: "Hello,\n\nplease find the invoice attached.\n\nKind regards\nGrace", HTML: "<p>Hello,</p><p>please find the <b>invoice</b> attached.</p><p><img src=\"https://tracker.example/pixel.gif\"></p>",
			Headers: []mail.Header{{Name: "From", Value: from}, {Name: "Subject", Value: subject}, {Name: "X-Case", Value: "4711"}}}
		return e
	}
	held := row(1, contract.Quarantined, contract.Infected, "Invoice 4711 for October", "grace@elsewhere.example", "invoices@yourapp.example", "support@yourapp.example")
	held.Detail = "1 attachment is infected."
	held.Unmatched = []string{"sales\u202e@yourapp.example"}
	held.Attachments = []mail.Attachment{
		{Filename: "invoice.pdf", ContentType: "application/pdf", DetectedType: "application/pdf", Size: 31_022, SHA256: strings.Repeat("a", 64), Key: "aa/a", Verdict: mail.Clean},
		{Filename: "invoice.zip", ContentType: "application/zip", DetectedType: "application/zip", Size: 1_204, SHA256: strings.Repeat("b", 64), Key: "bb/b", Verdict: mail.Infected, Signature: "Eicar-Test-Signature"},
	}
	held.Decisions = []ledger.DecisionRow{{Action: contract.Retry, Actor: "ada", Via: "console", Note: "signatures were old", At: at.Add(-20 * time.Minute), Before: contract.Quarantined, After: contract.Processing, Reason: contract.Infected}}
	row(2, contract.Quarantined, contract.Unroutable, "Question about my order", "linus@elsewhere.example", "hello@yourapp.example")
	done := row(3, contract.Delivered, "", "Re: meeting on Tuesday", "ada@elsewhere.example", "support@yourapp.example")
	done.ClosedAt = &closed
	done.Deliveries = []ledger.DeliveryRow{{Destination: "ticketing", State: ledger.Delivered, Attempts: 2, LastStatus: 200, DeliveredAt: &closed}}
	row(4, contract.Retrying, contract.DownstreamUnavailable, "", "noreply@elsewhere.example", "crm@yourapp.example")
	return f
}

// who returns a caller with a role in one tenant.
func who(name string, role access.Role, tenant string) access.Identity {
	return access.Identity{Name: name, Display: name, Roles: map[string]access.Role{tenant: role}}
}

var (
	ada     = who("ada", access.Operator, access.Everywhere)
	root    = who("root", access.Admin, access.Everywhere)
	vera    = who("vera", access.Viewer, access.Everywhere)
	olga    = who("olga", access.Operator, "other")
	unknown = access.Identity{}
)

// bundle is a console with all its fakes.
type bundle struct {
	console   *Console
	emails    *fakeEmails
	decisions *fakeDecisions
	fakes     *fakes
	deps      Deps
}

func setup(t *testing.T, change ...func(*Config, *Deps)) *bundle {
	t.Helper()
	b := &bundle{emails: samples(), decisions: &fakeDecisions{}, fakes: &fakes{}}
	cfg := Config{TemporalUI: "http://127.0.0.1:8233"}
	b.deps = Deps{
		Emails: b.emails, Blobs: fakeBlobs{"mime": "From: x\r\n\r\n<script>alert(1)</script>"}, Decisions: b.decisions, Editor: fakeEditor{b.fakes},
		Operations: fakeOperations{b.fakes}, Sources: b.sources(t), Tokens: b.tokens(t), Batches: fakeBatches{b.fakes}, Chain: fakeChain{b.fakes}, Changes: noChanges{},
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return at },
	}
	for _, f := range change {
		f(&cfg, &b.deps)
	}
	var err error
	b.console, err = New(cfg, b.deps)
	require.NoError(t, err)
	t.Cleanup(b.console.Close)
	return b
}

// handler serves the console to a caller, as the operator listener does.
func (b *bundle) handler(as access.Identity) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.UseEscapedPath, engine.UnescapePathValues, engine.RedirectTrailingSlash = true, false, false
	for _, r := range b.console.Routes() {
		engine.Handle(r.Method, r.Path, func(c *gin.Context) {
			c.Request = c.Request.WithContext(access.With(c.Request.Context(), as))
			err := error(fault.New(fault.Forbidden, "your role does not allow this"))
			if r.Permits(as) {
				err = r.Handle(c)
			}
			if err != nil {
				var page bytes.Buffer
				_ = b.console.Refused(&page, access.RefusedPage{Status: access.Status(err), Message: fault.From(err).Public, Who: as, CSRF: "csrf-token"})
				c.Data(access.Status(err), "text/html; charset=utf-8", page.Bytes())
			}
		})
	}
	return engine
}

func (b *bundle) get(t *testing.T, as access.Identity, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	b.handler(as).ServeHTTP(rec, req)
	return rec
}

func (b *bundle) post(t *testing.T, as access.Identity, path string, fields url.Values) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(fields.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	b.handler(as).ServeHTTP(rec, req)
	return rec
}
