package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/batch"
	"mailroom/ingress/operator/listener"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/accesstest"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// testBundle is the API in front of fakes that hold one email.
type testBundle struct {
	replays *fakeReplays
	runner  *fakeRunner

	server  *httptest.Server
	api     *API
	table   []access.Route
	callers *access.Authenticator
	store   *accesstest.Memory // of tokens and sessions
	clock   *clock
	reader  *fakeReader
	blobs   *fakeBlobs
	editor  *editor
	decider *fakeDecider
	logs    *ingresstest.Log

	failures *fakeFailures
	keyUse   fakeKeyUse
	uses     *fakeUses
	secrets  *fakeSecrets
	auditor  *fakeAuditor
	controls *operationsLedger
}

const (
	cleanContent    = "a clean picture"
	infectedContent = "a program that bites"
	rawContent      = `{"event_id":"evt/1+2 %41"}`
	mimeContent     = "Subject: secret plans\r\n\r\nhello"
	oddID           = "evt/1+2 %41"
)

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	return setupWith(t, nil)
}

// setupWith changes who may come in; the URL of the server is known by then.
func setupWith(t *testing.T, change func(url string, c *config.Access)) *testBundle {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	received := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	email := &ledger.EmailDetail{
		EmailRow: ledger.EmailRow{
			ID: 7, EventID: oddID, WorkflowID: "wf-1", Source: "mailparse", Tenant: "default",
			State: contract.Quarantined, Reason: contract.Infected, ReceivedAt: received,
			Subject: "secret plans", From: "ada@example.com", To: []string{"support@yourapp.example"}, Routes: []string{},
		},
		Attachments: []mail.Attachment{
			{Filename: "bild ä\".png", ContentType: "image/png", Key: "k/clean", Size: int64(len(cleanContent)), SHA256: sum(cleanContent), Verdict: mail.Clean},
			{Filename: "x.exe", Key: "k/infected", Size: int64(len(infectedContent)), SHA256: sum(infectedContent), Verdict: mail.Infected, Signature: "Bite"},
			{Filename: "link", SHA256: sum("away"), URL: "https://example.com/x"},
		},
		Deliveries: []ledger.DeliveryRow{}, Decisions: []ledger.DecisionRow{},
	}
	b := &testBundle{
		reader: &fakeReader{
			email:    email,
			body:     ledger.Body{Key: "k/raw", SHA256: sha256.Sum256([]byte(rawContent)), Stored: true},
			manifest: &ledger.Manifest{MIMEKey: "k/mime"},
		},
		blobs: &fakeBlobs{objects: map[string]string{
			"k/raw": rawContent, "k/mime": mimeContent, "k/clean": cleanContent, "k/infected": infectedContent,
		}, buckets: map[string]blob.Bucket{
			"k/raw": blob.Raw, "k/mime": blob.Raw, "k/clean": blob.Attachments, "k/infected": blob.Attachments,
		}},
		decider: &fakeDecider{result: contract.DecisionResult{State: contract.Processing}},
		editor:  &editor{},
		logs:    &ingresstest.Log{},

		replays: &fakeReplays{}, runner: &fakeRunner{},
		failures: &fakeFailures{}, keyUse: fakeKeyUse{}, uses: &fakeUses{}, secrets: &fakeSecrets{}, auditor: &fakeAuditor{},
	}
	b.controls = &operationsLedger{fakeReader: b.reader}
	logger := slog.New(slog.NewJSONHandler(b.logs, nil))
	b.store, b.clock = accesstest.NewMemory(), &clock{now: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}
	may := config.Access{}
	if change != nil {
		change("http://"+server.Listener.Addr().String(), &may)
	}
	var err error
	b.callers, err = access.New(access.Config{Operators: operators(), Access: may},
		access.Deps{Tokens: b.store, Sessions: b.store, Now: b.clock.Now})
	require.NoError(t, err)
	login, err := access.NewLogin(access.LoginDeps{Access: b.callers, Pages: plainPages{}, Logins: b.store, Logger: logger, Registry: prometheus.NewRegistry()})
	require.NoError(t, err)
	many, err := batch.New(batch.Deps{Ledger: b.replays, Runner: b.runner, Logger: logger})
	require.NoError(t, err)
	sources, err := operations.NewSources(configuredSources(),
		operations.SourcesDeps{Failures: b.failures, KeyUse: b.keyUse, Uses: b.uses, Secrets: b.secrets, Logger: logger})
	require.NoError(t, err)
	tokens, err := operations.NewTokens(operators(), b.store, b.clock.Now)
	require.NoError(t, err)
	b.api, err = New(Config{Tenants: []config.Tenant{{Name: "default"}, {Name: "acme"}}}, Deps{
		Access: b.callers, Reader: b.reader, Blobs: b.blobs, Decisions: b.decider.service(t, logger), Editor: b.editor, Batches: many,
		Operations: operationsService(t, b.controls), Sources: sources, TokenList: tokens, Auditor: b.auditor,
		Tokens: b.store, Logger: logger,
	})
	require.NoError(t, err)
	b.table = slices.Concat(login.Routes(), codecRoutes(t), b.api.Routes())
	handler, err := listener.New(b.table, listener.Deps{Access: b.callers, Pages: plainPages{}, Logger: logger})
	require.NoError(t, err)
	b.server, server.Config.Handler = server, handler
	b.server.Start()
	b.server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(b.server.Close)
	return b
}

func operators() []config.Operator {
	return []config.Operator{
		{Name: "vera", Role: "viewer", Token: config.KeyRef{Ref: "env:VERA", Key: config.NewSecret("token-viewer")}},
		{Name: "olga", Role: "operator", Token: config.KeyRef{Ref: "env:OLGA", Key: config.NewSecret("token-operator")}},
		{Name: "adam", Role: "admin", Token: config.KeyRef{Ref: "env:ADAM", Key: config.NewSecret("token-admin")}},
		// Roles for one tenant alone.
		{Name: "local", Roles: map[string]string{"default": "admin"}, Token: config.KeyRef{Ref: "env:LOCAL", Key: config.NewSecret("token-local")}},
		{Name: "foreign", Roles: map[string]string{"acme": "admin"}, Token: config.KeyRef{Ref: "env:FOREIGN", Key: config.NewSecret("token-foreign")}},
		{Name: "mixed", Role: "viewer", Roles: map[string]string{"acme": "operator"}, Token: config.KeyRef{Ref: "env:MIXED", Key: config.NewSecret("token-mixed")}},
	}
}

// do sends a request with the token of a role; an empty role sends none.
func (b *testBundle) do(t *testing.T, method, path, role, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	if role != "" {
		req.Header.Set("Authorization", "Bearer token-"+role)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := b.server.Client().Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}

// requireRefused checks status, code and form of an error.
func requireRefused(t *testing.T, resp *http.Response, body string, status int, code fault.Code) {
	t.Helper()
	require.Equal(t, status, resp.StatusCode, body)
	require.Equal(t, "application/json; charset=utf-8", resp.Header.Get("Content-Type"))
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &got), body)
	require.Equal(t, false, got["ok"])
	require.Equal(t, string(code), got["error"])
	require.NotEmpty(t, got["message"])
	require.Len(t, got, 3)
}

const (
	emailURL    = "/api/v1/emails/evt%2F1+2%20%2541"
	numberURL   = "/api/v1/emails-by-number/7"
	approveBody = `{"action":"approve","note":"looked at it"}`
)

func TestNothingThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, row := range []struct {
		method, path, role string
		status             int
		code               fault.Code
	}{
		{"GET", "/", "admin", 404, fault.NotFound},
		{"GET", "/api/v1/emails/", "admin", 404, fault.NotFound},
		{"GET", "/api/v1/emails/nobody", "admin", 404, fault.NotFound},
		{"GET", "/api/v1/emails/nobody/raw", "admin", 404, fault.NotFound},
		{"GET", "/api/v1/emails/a/b/c", "admin", 404, fault.NotFound},
		{"GET", "/api/v1/emails/..", "admin", 404, fault.NotFound},
		{"GET", "/api/v1/emails/%00", "admin", 404, fault.NotFound},
		{"GET", "/api/v1/emails/%ff", "admin", 404, fault.NotFound},
		{"GET", "/api/v1/emails/" + strings.Repeat("x", contract.MaxEventID+1), "admin", 404, fault.NotFound},
		{"GET", emailURL + "/attachments/" + sum("other"), "admin", 404, fault.NotFound},
		{"GET", emailURL + "/attachments/" + sum("away"), "admin", 404, fault.NotFound},
		{"GET", emailURL + "?source=another", "admin", 404, fault.NotFound},
		{"GET", emailURL + "/raw?part=head", "admin", 400, fault.RequestInvalid},
		{"GET", emailURL + "?surce=x", "admin", 400, fault.RequestInvalid},
		{"DELETE", emailURL, "admin", 405, fault.MethodNotAllowed},
		{"GET", emailURL + "/decisions", "admin", 405, fault.MethodNotAllowed},
		// Without a token nothing can be learned, not even what exists.
		{"GET", "/", "", 401, fault.Unauthorized},
		{"GET", "/api/v1/emails/nobody", "", 401, fault.Unauthorized},
		{"DELETE", emailURL, "", 401, fault.Unauthorized},
	} {
		resp, body := b.do(t, row.method, row.path, row.role, "")
		requireRefused(t, resp, body, row.status, row.code)
		if row.status == 405 {
			require.NotEmpty(t, resp.Header.Get("Allow"), row.path)
		}
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp, body := b.do(t, "GET", emailURL+"?source=mailparse", "viewer", "")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	for _, field := range []string{
		"event_id", "source", "tenant", "state", "reason", "received_at", "closed_at", "duplicate_of", "subject",
		"from", "to", "attachments", "deliveries", "decisions",
	} {
		require.Contains(t, got, field)
	}
	require.Equal(t, oddID, got["event_id"])
	attachments := got["attachments"].([]any)
	require.Len(t, attachments, 3)
	for _, a := range attachments {
		for _, field := range []string{"filename", "size", "sha256", "content_type", "detected_type", "verdict", "signature"} {
			require.Contains(t, a, field)
		}
	}
	require.NotContains(t, body, "k/clean", "keys of the object store stay inside")
	require.NotContains(t, body, "example.com/x")
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox", "Access-Control-Allow-Origin": "",
	} {
		require.Equal(t, want, resp.Header.Get(name), name)
	}
}

// TestIDsAreDecodedOnce: an id that looks percent-encoded is not decoded again.
func TestIDsAreDecodedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, id := range []string{"%41", "%2F", "+", "a b", "ä", "a/b", ".", "..", "100%", "?x=1", "#", "a%2Fb/%"} {
		b.reader.email.EventID = id
		resp, body := b.do(t, "GET", "/api/v1/emails/"+strings.ReplaceAll(url.PathEscape(id), ".", "%2E"), "viewer", "")
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", id, body)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var body string
	for _, state := range []string{"quarantined", "held"} {
		var resp *http.Response
		resp, body = b.do(t, "GET", "/api/v1/emails?state="+state+"&reason=infected&source=mailparse&tenant=default&q=pl%20ans&cursor=abc&limit=7", "viewer", "")
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Equal(t, ledger.Filter{
			State: contract.Quarantined, Reason: contract.Infected, Source: "mailparse", Tenant: "default",
			Query: "pl ans", Cursor: "abc", Limit: 7,
		}, b.reader.filter)
	}
	var got struct {
		Emails     []map[string]any `json:"emails"`
		NextCursor string           `json:"next_cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Len(t, got.Emails, 1)
	require.Equal(t, "next", got.NextCursor)

	b.reader.email = nil
	_, body = b.do(t, "GET", "/api/v1/emails", "viewer", "")
	require.JSONEq(t, `{"emails":[],"next_cursor":""}`, body)
	require.Equal(t, ledger.Filter{Limit: ledger.DefaultLimit}, b.reader.filter)

	for _, query := range []string{
		"state=waiting", "reason=x", "limit=0", "limit=201", "limit=x", "stat=quarantined", "state=delivered&state=discarded",
		"q=%00", "q=%ff", "q=%zz", "q=" + strings.Repeat("x", maxParameter+1), "source=a%0ab",
	} {
		resp, body := b.do(t, "GET", "/api/v1/emails?"+query, "viewer", "")
		requireRefused(t, resp, body, http.StatusBadRequest, fault.RequestInvalid)
	}
	_, body = b.do(t, "GET", "/api/v1/emails?state=waiting", "viewer", "")
	require.Contains(t, body, "state must be one of processing, retrying, held, delivered, discarded, duplicate")
}

// TestLogsHoldNoMail also covers what a panic and a failing dependency say.
func TestLogsHoldNoMail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do(t, "GET", "/api/v1/emails?q=secret+plans", "viewer", "")
	b.do(t, "GET", emailURL, "viewer", "")
	b.do(t, "GET", emailURL+"/raw", "operator", "")
	b.do(t, "POST", emailURL+"/decisions", "operator", approveBody)
	b.reader.panics = "secret plans"
	resp, body := b.do(t, "GET", emailURL, "viewer", "")
	requireRefused(t, resp, body, http.StatusInternalServerError, fault.Internal)
	require.NotContains(t, body, "secret plans")

	logs := b.logs.String()
	require.Contains(t, logs, `"msg":"quarantine.decided"`)
	require.Contains(t, logs, `"actor":"olga"`)
	require.Contains(t, logs, `"msg":"operator.panic"`)
	for _, forbidden := range []string{"secret plans", "secret+plans", "ada@", "token-", "looked at it", "x.exe"} {
		require.NotContains(t, logs, forbidden)
	}
}

func TestUnavailableDependency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.reader.err = fault.Wrap(fault.StorageUnavailable, "the ledger does not answer", errors.New("dial tcp: secret"))
	resp, body := b.do(t, "GET", emailURL, "viewer", "")
	requireRefused(t, resp, body, http.StatusServiceUnavailable, fault.StorageUnavailable)
	require.Equal(t, "5", resp.Header.Get("Retry-After"))
	require.NotContains(t, body, "dial")

	b.reader.err = errors.New("not classified: secret")
	resp, body = b.do(t, "GET", emailURL, "viewer", "")
	requireRefused(t, resp, body, http.StatusInternalServerError, fault.Internal)
	require.NotContains(t, body, "secret")
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := New(Config{}, Deps{Reader: &fakeReader{}})
	require.ErrorContains(t, err, "Blobs is missing")
	require.ErrorContains(t, err, "Decisions is missing")
	require.NotContains(t, err.Error(), "Reader")
}
