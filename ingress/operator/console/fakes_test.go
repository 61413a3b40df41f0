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
	"mailroom/shared/blob"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
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

type fakeBlobs map[string]string

func (f fakeBlobs) Get(_ context.Context, _ blob.Bucket, key string) (io.ReadCloser, error) {
	content, ok := f[key]
	if !ok {
		return nil, fault.New(fault.ContentLost, "the object is gone")
	}
	return io.NopCloser(strings.NewReader(content)), nil
}

type fakeDecider struct {
	mu      sync.Mutex
	calls   []Request
	who     []string
	numbers []int64 // of the emails
	result  contract.DecisionResult
	err     error
}

func (f *fakeDecider) Decide(_ context.Context, who access.Identity, e *ledger.EmailRow, in Request) (contract.DecisionResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.numbers = append(f.numbers, e.ID)
	f.calls, f.who = append(f.calls, in), append(f.who, who.Name)
	return f.result, f.err
}

func (f *fakeDecider) seen() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Request(nil), f.calls...)
}

// fakes answers for every other area.
type fakes struct {
	empty   bool
	err     error
	planned []ReplayRequest
	started []string
	// startedAs is what was started from the dry run.
	startedAs int64
	counted   bool // the dry run is over
	steered   []string
	paused    []string
	replayed  ledger.Filter
	text      string // stands in every text
}

func (f *fakes) word(s string) string {
	if f.text != "" {
		return f.text
	}
	return s
}

func (f *fakes) Held(context.Context, Tenants) ([]Holding, error) {
	if f.empty {
		return nil, f.err
	}
	return []Holding{
		{contract.Infected, 12, at.Add(-26 * time.Hour)}, {contract.Unroutable, 431, at.Add(-7 * time.Hour)},
		{contract.DownstreamExhausted, 88, at.Add(-95 * time.Minute)}, {contract.ManualHold, 3, at.Add(-12 * time.Minute)},
	}, f.err
}

type fakeEdits struct{ *fakes }

func (f fakeEdits) Destinations(string) []string { return []string{"ticketing", "legacy"} }

func (f fakeEdits) Preview(_ context.Context, _ access.Identity, _ *ledger.EmailDetail, e contract.Edit) ([]ledger.Change, error) {
	if len(e.Recipients) > 0 && e.Recipients[0] == "bad" {
		return nil, fault.New(fault.RequestInvalid, "recipients[0] is no address")
	}
	return []ledger.Change{
		{Field: f.word("recipients"), Before: f.word("suppport@yourapp.example"), After: f.word("support@yourapp.example")},
		{Field: f.word("headers.X-Case"), After: f.word("4711")},
	}, f.err
}

type fakeDestinations struct{ *fakes }

func (f fakeDestinations) List(ctx context.Context) ([]Destination, error) {
	if f.empty {
		return nil, f.err
	}
	may := access.From(ctx).In(access.Everywhere) >= access.Operator
	return []Destination{
		{Name: f.word("ticketing"), URL: f.word("https://tickets.yourapp.example/inbound"), Breaker: "closed", InFlight: 4, MayPause: may},
		{Name: "legacy", URL: "http://10.0.0.5/mail", Breaker: "open", Backlog: 88, Oldest: at.Add(-95 * time.Minute), Failed: 88, MayPause: may},
		{Name: "crm", URL: "https://crm.yourapp.example", Paused: true, PausedBy: f.word("ada"), PausedAt: at.Add(-time.Hour), Note: f.word("they migrate"), Backlog: 14, Oldest: at.Add(-time.Hour), MayPause: may},
		{Name: "moved", GoneUntil: at.Add(time.Hour), Breaker: "closed", MayPause: may},
	}, f.err
}

func (f fakeDestinations) Pause(_ context.Context, who access.Identity, name, _ string) error {
	return f.said(who, "pause "+name)
}

func (f fakeDestinations) Resume(_ context.Context, who access.Identity, name, _ string) error {
	return f.said(who, "resume "+name)
}

func (f fakeDestinations) said(who access.Identity, what string) error {
	if who.In(access.Everywhere) < access.Operator {
		return fault.New(fault.Forbidden, "it serves other tenants too")
	}
	f.paused = append(f.paused, what)
	return f.err
}

type fakeRules struct{ *fakes }

func (f fakeRules) List(context.Context) ([]Rule, error) {
	if f.empty {
		return nil, f.err
	}
	return []Rule{{f.word("support"), []string{f.word("recipient: support@*")}, []string{f.word("ticketing")}, false},
		{"legal", []string{"header X-Case: *"}, []string{"legacy"}, true}}, f.err
}

func (f fakeRules) Test(_ context.Context, in Sample) (Outcome, error) {
	if in.Recipients[0] == "nobody@elsewhere.example" {
		return Outcome{Held: []contract.Hold{{Reason: contract.RecipientForeign, Detail: f.word("no recipient is ours")}}}, nil
	}
	return Outcome{Matched: []string{f.word("support")}, Destinations: []string{f.word("ticketing")},
		Steps: []OutcomeStep{{f.word("support"), true, f.word("recipient support@yourapp.example")}, {"legal", false, "header X-Case is not there"}}}, f.err
}

type fakeReplays struct{ *fakes }

func (f fakeReplays) one() Replay {
	return Replay{ID: 7, Action: "retry", State: "running", Actor: f.word("ada"), Note: f.word("the route is mended"), Rate: 50, Total: 431, Done: 190, Skipped: 3,
		Failed: 2, StartedAt: at.Add(-time.Minute), Filter: f.replayed}
}

func (f fakeReplays) List(context.Context, access.Identity) ([]Replay, error) {
	if f.empty {
		return nil, f.err
	}
	return []Replay{f.one(), f.dry()}, f.err
}

// dry is a dry run, number 8.
func (f fakeReplays) dry() Replay {
	r := f.one()
	r.ID, r.DryRun, r.State, r.Total = 8, true, "running", -1
	if f.counted {
		r.State = "done"
		r.Plan = &Plan{Count: 431, Would: []Would{{f.word("decided"), 431}}, Evaluated: 20, Changed: 1, Sample: []PlanItem{{0, f.word("evt_1"), "mailparse", f.word("goes to ticketing")}}}
	}
	if f.counted && f.empty {
		r.Plan = &Plan{}
	}
	r.StartedAs = f.startedAs
	return r
}

// Find is about replays of every tenant.
func (f fakeReplays) Find(_ context.Context, who access.Identity, id int64) (*Replay, error) {
	if who.In(access.Everywhere) < access.Operator {
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	r := f.one()
	switch id {
	case 7:
	case 8:
		r = f.dry()
	default:
		return nil, fault.New(fault.NotFound, "there is no such replay")
	}
	return &r, f.err
}

func (f fakeReplays) Items(context.Context, int64) ([]ReplayItem, error) {
	if f.empty {
		return nil, nil
	}
	return []ReplayItem{{0, f.word("evt_1"), "mailparse", "done", f.word("delivered"), at}, {0, "evt_2", "mailparse", "failed", f.word("somebody was first"), at}}, nil
}

func (f fakeReplays) Plan(_ context.Context, _ access.Identity, in ReplayRequest) (int64, error) {
	f.planned = append(f.planned, in)
	return 8, f.err
}

func (f fakeReplays) Start(_ context.Context, who access.Identity, dryRun, count int64) (int64, error) {
	f.started = append(f.started, fmt.Sprintf("%s %d %d", who.Name, dryRun, count))
	return 7, f.err
}

func (f fakeReplays) Steer(_ context.Context, _ access.Identity, _ int64, verb string) error {
	f.steered = append(f.steered, verb)
	return f.err
}

func (f *fakes) Overview(ctx context.Context, tenants Tenants) (Overview, error) {
	if f.empty {
		return Overview{}, f.err
	}
	o := Overview{States: []StateCount{{contract.Processing, 12}, {contract.Retrying, 102}, {contract.Delivered, 98_211}}, InboxDepth: 3, InboxOldest: at.Add(-2 * time.Second),
		Latencies: []Latency{{f.word("Accepted"), 400 * time.Microsecond, 3 * time.Millisecond, 8 * time.Millisecond, time.Second},
			{"Delivered", 700 * time.Millisecond, 2 * time.Second, 41 * time.Second, 30 * time.Second}}}
	o.Held, _ = f.Held(ctx, tenants)
	for i := range 60 {
		o.Rate = append(o.Rate, RatePoint{at.Add(time.Duration(i-60) * time.Minute), int64(40 + (i*37)%60), int64(35 + (i*31)%50)})
	}
	return o, f.err
}

type fakeChain struct{ *fakes }

func (f fakeChain) Entries(context.Context, int64) ([]ChainEntry, error) {
	if f.empty {
		return nil, f.err
	}
	return []ChainEntry{{Number: 2, At: at, Kind: "decision", Actor: f.word("ada"), Via: "console", EventID: f.word("evt_1"), Source: "mailparse",
		Tenant: "default", Hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Text: f.word("approve: a test file")}}, f.err
}

func (f fakeChain) Verify(context.Context) (checked, broken int64, err error) {
	if f.empty {
		return 2, 2, nil
	}
	return 2, 0, f.err
}

// samples are the emails of an ordinary day.
func samples() *fakeEmails {
	closed := at.Add(-time.Hour)
	f := &fakeEmails{messages: map[int64]mail.Message{}}
	row := func(id int64, state contract.State, reason contract.Reason, subject, from string, to ...string) *ledger.EmailDetail {
		e := &ledger.EmailDetail{EmailRow: ledger.EmailRow{
			ID: id, EventID: "evt_" + strings.Repeat("0", 3) + string(rune('0'+id)), WorkflowID: "evt_000" + string(rune('0'+id)), Source: "mailparse", Tenant: "default",
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

// roles of those who ask in these tests.
func who(name string, role access.Role, tenant string) access.Identity {
	return access.Identity{Name: name, Display: name, Roles: map[string]access.Role{tenant: role}}
}

var (
	ada    = who("ada", access.Operator, access.Everywhere)
	root   = who("root", access.Admin, access.Everywhere)
	vera   = who("vera", access.Viewer, access.Everywhere)
	olga   = who("olga", access.Operator, "other")
	nobody = access.Identity{}
)

// bundle is a console with all its fakes.
type bundle struct {
	console *Console
	emails  *fakeEmails
	decider *fakeDecider
	fakes   *fakes
	deps    Deps
}

func setup(t *testing.T, change ...func(*Config, *Deps)) *bundle {
	t.Helper()
	b := &bundle{emails: samples(), decider: &fakeDecider{}, fakes: &fakes{}}
	cfg := Config{TemporalUI: "http://127.0.0.1:8233"}
	b.deps = Deps{
		Emails: b.emails, Blobs: fakeBlobs{"mime": "From: x\r\n\r\n<script>alert(1)</script>"}, Decider: b.decider, Holdings: b.fakes,
		Edits: fakeEdits{b.fakes}, Destinations: fakeDestinations{b.fakes}, Rules: fakeRules{b.fakes}, Replays: fakeReplays{b.fakes}, Figures: b.fakes,
		Chain: fakeChain{b.fakes}, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return at },
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

// handler serves the console to somebody, as the operator listener does.
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
