package operator

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"mailroom/ingress/authlog"
	"mailroom/ingress/operator/access"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/postgres"
	"mailroom/shared/secret"
)

// TestListenerServesEveryArea wires the listener to services that do not answer: a caller
// without a token sees the login and static files, and nothing of the rest.
func TestListenerServesEveryArea(t *testing.T) {
	t.Parallel()
	db, err := postgres.Open(t.Context(), "postgres://127.0.0.1:1/mailroom", postgres.Config{})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	blobs, err := blob.New(blob.Config{Endpoint: "http://127.0.0.1:1", RawBucket: "raw", AttachmentsBucket: "attachments"})
	require.NoError(t, err)
	temporal, err := client.NewLazyClient(client.Options{HostPort: "127.0.0.1:1"})
	require.NoError(t, err)
	t.Cleanup(temporal.Close)

	deps := Deps{
		Ledger: db, Logins: db, Blobs: blobs, Temporal: temporal, KeyUse: authlog.NewKeyUse(nil),
		Secrets:    secret.Open(func(string) string { return "" }, slog.New(slog.DiscardHandler)),
		AckSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "x"}), Ready: http.NotFound, Health: func(context.Context) (string, map[string]string) { return "ready", nil },
		Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	}
	_, err = New(&config.File{Routes: []config.Route{{Name: "x"}}}, deps)
	require.EqualError(t, err, `configuration: routes: route "x" goes nowhere`)
	listener, err := New(&config.File{}, deps)
	require.NoError(t, err)
	t.Cleanup(listener.Close)
	_, err = New(&config.File{}, Deps{})
	require.ErrorContains(t, err, "missing")

	for request, want := range map[string]int{
		"GET /login": http.StatusOK, "GET /favicon.ico": http.StatusOK, "GET /oidc/start": http.StatusNotFound,
		"GET /": http.StatusSeeOther, "GET /audit": http.StatusSeeOther, "GET /replays/7": http.StatusSeeOther,
		"GET /api/v1/emails": http.StatusUnauthorized, "POST /api/v1/routes/test": http.StatusUnauthorized,
		"POST /codec/decode": http.StatusUnauthorized, "GET /readyz": http.StatusUnauthorized, "GET /nothing": http.StatusUnauthorized,
	} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		listener.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
		require.Equal(t, want, w.Code, "%s: %s", request, w.Body)
	}
}

// TestReadyDetailsAreForOperators: on their listener the route asks for the role in
// every tenant.
func TestReadyDetailsAreForOperators(t *testing.T) {
	t.Parallel()
	route := readyRoutes(http.NotFound)[0]
	for role, may := range map[access.Role]bool{access.NoRole: false, access.Viewer: true} {
		require.Equal(t, may, route.Permits(access.Identity{Roles: map[string]access.Role{access.Everywhere: role}}), "%v", role)
	}
	require.False(t, route.Permits(access.Identity{Roles: map[string]access.Role{"acme": access.Admin}}), "what waits is of all tenants")
}
