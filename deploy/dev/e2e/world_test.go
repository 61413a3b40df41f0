// Package e2e_test drives the whole of Mailroom from outside: its programs as
// processes, on real PostgreSQL, Temporal, MinIO and clamd, with the sample
// destination at the other end.
package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/config"
	"mailroom/shared/seal"
	"mailroom/shared/temporal"
	"mailroom/shared/testenv"
)

const (
	webhookSecret = "e2e-webhook-secret-canary"
	rotatedSecret = "e2e-rotated-secret-canary"
	operatorToken = "e2e-operator-token-canary"
	patience      = 60 * time.Second
	tick          = 50 * time.Millisecond
)

// world is one Mailroom of its own: database, buckets, namespace and processes.
type world struct {
	*stack.Stack
	t       *testing.T
	options stack.Options
	infra   stack.Infra // as the test reaches it, also where the programs cannot
	bin     string
	tc      client.Client
	db      *pgxpool.Pool // of the ledger, as the test reaches it
	http    *http.Client
}

// settings fill the configuration of a world.
type settings struct {
	Sink    string
	Deliver string // budget of a delivery
	Scan    string
	MaxSize string
	Scanner string
	Secrets string // of the source, as a YAML list
	Extra   string // more routes, as YAML lines
	People  string // more operators, as YAML lines
	Tenants string // more tenants, as the rest of a YAML list
	Systems string // more destinations, as YAML lines
	More    string // more of the configuration, as YAML lines
}

var configuration = template.Must(template.New("mailroom.yaml").Parse(`
sources:
  - name: mailparse
    path: /webhooks/email
    profile: mailparse
    schemes: [timestamp-hmac]
    secrets: [{{.Secrets}}]
    tenant: default
tenants: [{name: default, domains: [yourapp.example]}{{.Tenants}}]
destinations:
  - {name: ticketing, tenants: [default], url: "{{.Sink}}/tickets", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true}
  - {name: accounting, tenants: [default], url: "{{.Sink}}/invoices", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true}
  - {name: rejecting, tenants: [default], url: "{{.Sink}}/rejecting", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true}
  - {name: away, tenants: [default], url: "{{.Sink}}/away", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true, breaker: {failures: 3, open_for: 2s}}
  - {name: reset, tenants: [default], url: "{{.Sink}}/reset", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true}
  - {name: legacy, tenants: [default], url: "{{.Sink}}/legacy", secret: {ref: "env:TICKETING_SECRET"}, allow_private: true, idempotent: false}
{{.Systems}}
routes:
  - {name: support, when: {recipient: "support@*"}, to: [ticketing]}
  - {name: invoices, when: {recipient: "invoices@*"}, to: [accounting]}
  - {name: both, when: {recipient: "both@*"}, to: [ticketing, accounting]}
  - {name: rejecting, when: {recipient: "rejecting@*"}, to: [rejecting, ticketing]}
  - {name: away, when: {recipient: "away@*"}, to: [away]}
  - {name: reset, when: {recipient: "reset@*"}, to: [reset]}
  - {name: legacy, when: {recipient: "legacy@*"}, to: [legacy]}
  - {name: careful, when: {recipient: "careful@*"}, to: [ticketing], hold: true}
{{.Extra}}
attachments:
  allowed_types: ["image/*", "text/*", application/zip, application/pdf, application/octet-stream]
  max_size: {{.MaxSize}}
scanner: {{.Scanner}}
operator: {ui_origins: ["http://127.0.0.1:8233"]}
operators:
  - {name: ada, role: admin, token: {ref: "env:OPERATOR_TOKEN"}}{{.People}}
retry: {deliver: {{.Deliver}}, scan: {{.Scan}}}
encryption: {keys: [{id: k1, ref: "env:MAILROOM_ENCRYPTION_KEY"}]}
{{.More}}
`))

// newWorld starts a Mailroom that ends with the test.
func newWorld(t *testing.T, edit func(*settings)) *world {
	t.Helper()
	return newWorldOn(t, edit, func(*stack.Infra) {})
}

// newWorldOn is newWorld with other servers: reach changes where the programs
// look for them.
func newWorldOn(t *testing.T, edit func(*settings), reach func(*stack.Infra)) *world {
	t.Helper()
	dir, bin := testenv.Dir(t), testenv.Bin(t)
	testenv.Temporal(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	name := "w" + strconv.FormatInt(time.Now().UnixNano(), 36)
	infra, err := stack.Isolate(ctx, stack.TestInfra(os.Getenv), name)
	require.NoError(t, err)
	direct := infra
	reach(&infra)
	ports, err := stack.FreePorts()
	require.NoError(t, err)
	s := settings{Sink: fmt.Sprintf("http://127.0.0.1:%d", ports.Sink), Deliver: "24h", Scan: "24h", MaxSize: "4MiB", Scanner: "{max_signature_age: off}", Secrets: `{ref: "env:WEBHOOK_SECRET"}`}
	if edit != nil {
		edit(&s)
	}
	var text bytes.Buffer
	require.NoError(t, configuration.Execute(&text, s))
	path := filepath.Join(dir, "mailroom.yaml")
	require.NoError(t, os.WriteFile(path, text.Bytes(), 0o600))
	vars := stack.DevDefaults().With(stack.Vars{
		"WEBHOOK_SECRET": webhookSecret, "OPERATOR_TOKEN": operatorToken,
		"BOB_TOKEN": bobToken, "VERA_TOKEN": veraToken, "OSCAR_TOKEN": oscarToken, "EVE_TOKEN": eveToken, "PATH": os.Getenv("PATH"), "MAILROOM_LOG_LEVEL": "debug",
	})
	options := stack.Options{
		Dir: dir, Bin: bin, Services: stack.Programs(), Infra: infra, Ports: ports, Config: path, Vars: vars,
	}
	st, err := stack.New(options)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := st.Down(context.Background())
		if t.Failed() {
			tellWarnings(t, filepath.Join(dir, "log"))
		}
		require.NoError(t, err)
	})
	require.NoError(t, st.Up(ctx))
	keys, err := seal.New(config.Encryption{Keys: []config.EncryptionKey{
		{ID: "k1", Key: config.NewSecret(vars.Get("MAILROOM_ENCRYPTION_KEY"))},
	}})
	require.NoError(t, err)
	to := client.Options{HostPort: direct.Temporal, Namespace: direct.TemporalNamespace}
	temporal.Protect(&to, keys)
	tc, err := client.Dial(to)
	require.NoError(t, err)
	t.Cleanup(tc.Close)
	db, err := pgxpool.New(context.Background(), direct.DatabaseURL)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return &world{
		Stack: st, db: db, t: t, options: options, infra: direct, bin: bin, tc: tc, http: &http.Client{Timeout: 30 * time.Second},
	}
}

// tellWarnings puts the last warnings of the programs beside a failure: their logs are
// gone when the suite has ended.
func tellWarnings(t *testing.T, dir string) {
	t.Helper()
	const most = 40
	for _, name := range []string{stack.Ingress, stack.Worker} {
		text, err := os.ReadFile(filepath.Join(dir, name+".log"))
		if err != nil {
			t.Logf("log of %s: %v", name, err)
			continue
		}
		var lines []string
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
				lines = append(lines, line)
			}
		}
		t.Logf("the last of %d warnings of %s:\n%s", len(lines), name, strings.Join(lines[max(0, len(lines)-most):], ""))
	}
}

// in returns the world for a subtest, so that failures are its own.
func (w *world) in(t *testing.T) *world {
	t.Helper()
	own := *w
	own.t = t
	return &own
}

// api calls the operator API and decodes the answer into out, which may be nil.
func (w *world) api(method, path string, body, out any) int {
	w.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		require.NoError(w.t, err)
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.OperatorURL()+"/api/v1"+path, r)
	require.NoError(w.t, err)
	req.Header.Set("Authorization", "Bearer "+operatorToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := w.http.Do(req)
	require.NoError(w.t, err)
	defer func() { _ = res.Body.Close() }()
	if out != nil {
		require.NoError(w.t, json.NewDecoder(res.Body).Decode(out))
	}
	return res.StatusCode
}

// email is what the operator API says of one.
type email struct {
	EventID     string   `json:"event_id"`
	WorkflowID  string   `json:"workflow_id"`
	State       string   `json:"state"`
	Reason      string   `json:"reason"`
	Detail      string   `json:"detail"`
	Subject     string   `json:"subject"`
	ClosedAt    string   `json:"closed_at"`
	To          []string `json:"to"`
	Foreign     []string `json:"foreign_recipients"`
	Attachments []struct {
		Filename  string `json:"filename"`
		SHA256    string `json:"sha256"`
		Size      int64  `json:"size"`
		Verdict   string `json:"verdict"`
		Signature string `json:"signature"`
	} `json:"attachments"`
	Deliveries []struct {
		Destination string `json:"destination"`
		State       string `json:"state"`
		Attempts    int    `json:"attempts"`
		Key         string `json:"idempotency_key"`
	} `json:"deliveries"`
	Decisions []struct {
		Action string `json:"action"`
		Actor  string `json:"actor"`
		Via    string `json:"via"`
		Note   string `json:"note"`
	} `json:"decisions"`
}

func (w *world) email(id string) email {
	w.t.Helper()
	var e email
	require.Equal(w.t, http.StatusOK, w.api(http.MethodGet, "/emails/"+url.PathEscape(id), nil, &e))
	return e
}

// until waits for an email to be in a state and returns it.
func (w *world) until(id, state string) email {
	w.t.Helper()
	var e email
	testenv.Eventually(w.t, func() bool {
		var now email // the API may be without its database for a moment
		if w.api(http.MethodGet, "/emails/"+url.PathEscape(id), nil, &now) != http.StatusOK {
			return false
		}
		e = now
		return e.State == state
	}, patience, tick, "email %s does not become %s; the log of the worker is %s", id, state, w.LogFile(stack.Worker))
	return e
}

// effects returns what the destinations did for an event, by path, repeats not counted.
func (w *world) effects(eventID string) map[string]int {
	w.t.Helper()
	var report struct {
		List []struct {
			Path string          `json:"path"`
			Key  string          `json:"key"`
			Body json.RawMessage `json:"body"`
		} `json:"list"`
	}
	w.sink(http.MethodGet, "/effects?limit=10000&event_id="+url.QueryEscape(eventID), nil, &report)
	out := map[string]int{}
	for _, e := range report.List {
		out[e.Path]++
	}
	return out
}

func (w *world) sink(method, path string, body, out any) {
	w.t.Helper()
	b, err := json.Marshal(body)
	require.NoError(w.t, err)
	req, err := http.NewRequestWithContext(context.Background(), method, w.SinkURL()+path, bytes.NewReader(b))
	require.NoError(w.t, err)
	res, err := w.http.Do(req)
	require.NoError(w.t, err)
	defer func() { _ = res.Body.Close() }()
	require.Less(w.t, res.StatusCode, 300)
	if out != nil {
		require.NoError(w.t, json.NewDecoder(res.Body).Decode(out))
	}
}

// script makes the next requests to a path of the sink go wrong.
func (w *world) script(fields map[string]any) {
	w.t.Helper()
	w.sink(http.MethodPost, "/control", fields, nil)
}

// clear ends the scripts of a path.
func (w *world) clear(path string) {
	w.t.Helper()
	w.sink(http.MethodDelete, "/control?path="+url.QueryEscape(path), nil, nil)
}

// decide takes a decision through the API; it must be taken.
func (w *world) decide(id, action string) {
	w.t.Helper()
	var out map[string]any
	status := w.api(http.MethodPost, "/emails/"+url.PathEscape(id)+"/decisions", map[string]string{"action": action, "note": "end to end"}, &out)
	require.Less(w.t, status, 300, "%v", out)
}

// run runs a program of Bin against this world.
func (w *world) run(program string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), filepath.Join(w.bin, program), args...)
	cmd.Env = w.environment()
	out, err := cmd.CombinedOutput()
	require.NoError(w.t, err, "%s %s: %s", program, strings.Join(args, " "), out)
	return string(out)
}

// environment is that of a program which run starts.
func (w *world) environment() []string {
	env := w.ClientVars().With(stack.Vars{
		"WEBHOOK_SECRET": webhookSecret, "HOME": w.t.TempDir(),
		"TEMPORAL_ADDRESS": w.infra.Temporal, "TEMPORAL_NAMESPACE": w.infra.TemporalNamespace,
	})
	return env.List()
}
