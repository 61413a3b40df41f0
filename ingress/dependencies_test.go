package ingress

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/ingress/operator/access"
	"mailroom/ingress/source"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/program"
	"mailroom/shared/secret"
)

// openIngress wires an ingress on the database at url, without a Temporal and an
// object store.
func openIngress(t *testing.T, url string) (*listeners, dependencies) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`
sources: [{name: mailparse, path: /webhooks/email, profile: mailparse, schemes: [basic], secrets: [{ref: "env:S"}], tenant: default}]
tenants: [{name: default}]
`), 0o600))
	secrets := secret.Open(func(string) string { return "user:secret" }, slog.New(slog.DiscardHandler))
	file, err := config.LoadWith(t.Context(), path, config.RoleIngress, secrets)
	require.NoError(t, err)
	sources, err := source.Resolve(file)
	require.NoError(t, err)
	env := config.Env{DatabaseURL: config.NewSecret(url), S3Endpoint: "http://127.0.0.1:1", RawBucket: "raw", AttachmentsBucket: "attachments"}

	p, err := program.New(program.Config{Env: env, File: file, Secrets: secrets, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	d, err := open(t.Context(), p)
	require.NoError(t, err)
	l, err := newListeners(p, sources, d)
	require.NoError(t, err)
	t.Cleanup(l.operators.Close)
	return l, d
}

// TestSlowSearchesKeepNoOperatorOut: questions of operators that take the database too
// long hold every connection of theirs until they are stopped and answered with what
// to do. Tokens are found beside them.
func TestSlowSearchesKeepNoOperatorOut(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	p, d := openIngress(t, url)
	token := func(name string) string {
		text, sum := access.NewToken()
		require.NoError(t, postgres.NewAccess(d.reader).CreateToken(t.Context(), ledger.Token{
			Name: name, SHA256: sum, Roles: map[string]string{"*": "viewer"}, CreatedBy: "adam", CreatedAt: time.Now(),
		}, "api"))
		return text
	}
	ada, vera := token("ada"), token("vera")
	ask := func(text, path string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+text)
		p.ServeHTTP(w, r)
		return w
	}
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE emails IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	var searches sync.WaitGroup
	for range operatorConns {
		searches.Go(func() {
			w := ask(ada, "/api/v1/emails")
			require.Equal(t, http.StatusGatewayTimeout, w.Code, w.Body)
			require.Contains(t, w.Body.String(), "narrow it")
		})
	}
	watch, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = watch.Close(t.Context()) }()
	waiting := func() (n int) {
		require.NoError(t, watch.QueryRow(t.Context(),
			"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n))
		return n
	}
	ingresstest.Eventually(t, func() bool { return waiting() == operatorConns }, "the searches hold their connections")
	began := time.Now()
	require.Contains(t, ask(vera, "/readyz").Body.String(), `"checks"`, "the token is found, and says more than the public learns")
	require.Equal(t, http.StatusUnauthorized, ask("mrt_x", "/readyz").Code)
	require.Less(t, time.Since(began), operatorLimit/2)
	_, err = postgres.NewAccess(d.logins).FindSession(t.Context(), [32]byte{1})
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	searches.Wait()
	require.NoError(t, tx.Rollback(t.Context()))
}
