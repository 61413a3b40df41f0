package listener

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
	"mailroom/shared/accesstest"
	"mailroom/shared/config"
)

type noPages struct{ access.Pages }

// TestStrangersShareALogLine: no client without a token fills the log or writes into it.
func TestStrangersShareALogLine(t *testing.T) {
	t.Parallel()
	now, logs := time.Unix(1_800_000_000, 0), &bytes.Buffer{}
	callers, err := access.New(access.Config{Operators: []config.Operator{
		{Name: "vera", Role: "viewer", Token: config.KeyRef{Key: config.NewSecret("token-viewer")}},
	}}, access.Deps{Tokens: accesstest.NewMemory(), Sessions: accesstest.NewMemory()})
	require.NoError(t, err)
	handler, err := New([]access.Route{{
		Method: http.MethodGet, Path: "/api/v1/emails", Least: access.Viewer, Handle: func(*gin.Context) error { return nil },
	}}, Deps{Access: callers, Pages: noPages{}, Logger: slog.New(slog.NewJSONHandler(logs, nil)), Now: func() time.Time { return now }})
	require.NoError(t, err)
	ask := func(method, role string) {
		r := httptest.NewRequestWithContext(t.Context(), method, "/api/v1/emails", http.NoBody)
		r.Header.Set("Authorization", "Bearer token-"+role)
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	lines := func() int { return strings.Count(logs.String(), "\n") }
	for range 50 {
		ask("CANARY", "nobody")
	}
	require.Equal(t, 1, lines(), logs.String())
	require.Contains(t, logs.String(), `"msg":"operator.refused"`)
	now = now.Add(refusedEvery)
	ask(http.MethodGet, "nobody")
	require.Equal(t, 2, lines(), logs.String())
	require.Contains(t, logs.String(), `"code":"unauthorized","count":50,"remote":"192.0.2.1"`)
	ask("CANARY", "viewer")
	require.Contains(t, logs.String(), `"method":"other"`)
	require.Contains(t, logs.String(), `"actor":"vera"`)
	require.NotContains(t, logs.String(), "CANARY")
}
