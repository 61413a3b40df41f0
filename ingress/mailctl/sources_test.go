package mailctl_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	sourcesJSON = `{"sources":[{"name":"mailparse","path":"/webhooks/email","tenant":"default","schemes":["timestamp-hmac","bearer"],"secrets":[` +
		`{"key":1,"ref":"env:NOW","expires":null,"state":"current","last_used":"2026-11-01T10:00:00Z","in_use":true},` +
		`{"key":2,"ref":"env:BEFORE\u001b[31m","expires":"2026-12-01T00:00:00Z","state":"previous","last_used":"2026-11-01T09:00:00Z","in_use":true},` +
		`{"key":3,"ref":"env:OLD","expires":"2026-01-01T00:00:00Z","state":"expired","last_used":null,"in_use":false}],` +
		`"failures_24h":{"timestamp_stale":1,"signature_invalid":12}},` +
		`{"name":"open","path":"/open","tenant":"acme","schemes":["none"],"insecure":true,"secrets":[],"failures_24h":{}},` +
		`{"name":"closed","path":"/closed","schemes":["basic"],"disabled":true,"failures_24h":null,"secrets":[` +
		`{"key":1,"ref":"file:/x","expires":"2026-11-02T00:00:00Z","state":"expiring","last_used":null,"in_use":false}]}]}`
	failuresJSON = `{"source":"mailparse","since":"2026-11-01T00:00:00Z","failures":[` +
		`{"hour":"2026-11-01T10:00:00Z","scheme":"timestamp-hmac","code":"signature_invalid","address":"2001:db8::1\u009b","count":3,"first_at":"2026-11-01T10:01:00Z","last_at":"2026-11-01T10:02:00Z"},` +
		`{"hour":"2026-11-01T10:00:00Z","scheme":"none","code":"signature_missing","address":"","count":90,"first_at":"2026-11-01T10:01:00Z","last_at":"2026-11-01T10:02:00Z"}],"more":true}`
)

// sourcesAPI answers like the operator API; what it is asked comes on the channel.
func sourcesAPI(t *testing.T) (env map[string]string, asked chan *http.Request) {
	t.Helper()
	asked = make(chan *http.Request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.RequestURI == "/api/v1/sources":
			_, _ = io.WriteString(w, sourcesJSON)
		case strings.HasPrefix(r.RequestURI, "/api/v1/sources/mailparse/failures?"):
			_, _ = io.WriteString(w, failuresJSON)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"ok":false,"error":"not_found","message":"there is no such source"}`)
		}
	}))
	t.Cleanup(server.Close)
	return map[string]string{"MAILROOM_API": server.URL, "MAILROOM_TOKEN": "t0ken"}, asked
}

func TestSourcesList(t *testing.T) {
	t.Parallel()
	env, asked := sourcesAPI(t)
	got := call{args: []string{"sources", "list"}, env: env}.done(t)
	require.Equal(t, strings.Join([]string{
		`SOURCE     TENANT   PATH             SCHEMES                KEY  REF                 STATE               EXPIRES               LAST USED             IN USE`,
		`mailparse  default  /webhooks/email  timestamp-hmac,bearer  1    env:NOW             current             never                 2026-11-01T10:00:00Z  yes`,
		`mailparse  default  /webhooks/email  timestamp-hmac,bearer  2    env:BEFORE\x1b[31m  previous            2026-12-01T00:00:00Z  2026-11-01T09:00:00Z  still`,
		`mailparse  default  /webhooks/email  timestamp-hmac,bearer  3    env:OLD             expired             2026-01-01T00:00:00Z  -                     no`,
		`open       acme     /open            none                   -    -                   insecure            -                     -                     -`,
		`closed              /closed          basic                  1    file:/x             disabled, expiring  2026-11-02T00:00:00Z  -                     no`,
		``,
		`mailparse: 12 signature_invalid in the last 24 hours`,
		`mailparse: 1 timestamp_stale in the last 24 hours`,
		`closed: failures are not known, the ledger does not answer`,
		``,
	}, "\n"), got)
	require.Equal(t, "Bearer t0ken", (<-asked).Header.Get("Authorization"))
	require.Equal(t, sourcesJSON+"\n", call{args: []string{"sources", "list", "-o", "json"}, env: env}.done(t))
}

func TestSourcesFailures(t *testing.T) {
	t.Parallel()
	env, asked := sourcesAPI(t)
	got := call{args: []string{"sources", "failures", "mailparse"}, env: env}.done(t)
	require.Equal(t, strings.Join([]string{
		`ADDRESS            CODE               SCHEME          COUNT  FIRST                 LAST`,
		`2001:db8::1\u009b  signature_invalid  timestamp-hmac  3      2026-11-01T10:01:00Z  2026-11-01T10:02:00Z`,
		`(others)           signature_missing  none            90     2026-11-01T10:01:00Z  2026-11-01T10:02:00Z`,
		``,
		`There are more: give a larger --limit.`,
		``,
	}, "\n"), got)
	requireSince(t, <-asked, 24*time.Hour, "")

	got = call{args: []string{"sources", "failures", "mailparse", "--since", "90m", "--limit", "7", "-o", "json"}, env: env}.done(t)
	require.Equal(t, failuresJSON+"\n", got)
	requireSince(t, <-asked, 90*time.Minute, "7")

	for _, name := range []string{"nobody", "..", "a/b"} {
		refused := call{args: []string{"sources", "failures", name}, env: env}.run(t)
		require.Equal(t, outcome{1, "", "mailctl: there is no such source (not_found, HTTP 404)\n"}, refused)
	}
	for _, args := range [][]string{
		{"sources", "failures"}, {"sources", "failures", "x", "--since", "0s"}, {"sources", "failures", "x", "--since=-1h"},
		{"sources", "failures", "x", "--since", "soon"}, {"sources"},
	} {
		wrong := call{args: args, env: env}.run(t)
		require.Equal(t, 2, wrong.code, "%v: %s", args, wrong.stderr)
		requireOneLine(t, wrong.stderr)
	}
}

func requireSince(t *testing.T, r *http.Request, ago time.Duration, limit string) {
	t.Helper()
	since, err := time.Parse(time.RFC3339, r.URL.Query().Get("since"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(-ago), since, time.Minute)
	require.Equal(t, limit, r.URL.Query().Get("limit"))
}

// TestSourcesListShowsWhatIsGone, and until when it verifies.
func TestSourcesListShowsWhatIsGone(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"sources":[{"name":"a","path":"/a","schemes":["basic"],"failures_24h":{},"secrets":[`+
			`{"key":1,"ref":"file:/x","expires":null,"state":"gone","verifies_until":"2026-11-02T00:00:00Z","last_used":null,"in_use":false},`+
			`{"key":2,"ref":"file:/y","expires":null,"state":"withdrawn","verifies_until":"2026-11-01T00:00:00Z","last_used":null,"in_use":false}]}]}`)
	}))
	t.Cleanup(server.Close)
	got := call{args: []string{"sources", "list"}, env: map[string]string{"MAILROOM_API": server.URL, "MAILROOM_TOKEN": "t"}}.done(t)
	require.Contains(t, got, "gone, verifies until 2026-11-02T00:00:00Z  never")
	require.Contains(t, got, "  withdrawn  ")
}
