package guard

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestUndeclaredProxyIsLogged checks that it is logged once in ten minutes, and only if it is one.
func TestUndeclaredProxyIsLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	now := start
	clock := func() time.Time { return now }
	from := func(peer string, forwarded ...string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/email", http.NoBody)
		r.RemoteAddr = peer
		if len(forwarded) > 0 {
			r.Header["X-Forwarded-For"] = forwarded
		}
		return r
	}
	logged := func() int { return strings.Count(log.String(), "ingress.undeclared_proxy") }
	u := NewUndeclared(&Proxies{}, slog.New(slog.NewTextHandler(&log, nil)), clock)
	u.CheckRequest(from("127.0.0.1:1"))
	u.CheckRequest(from("203.0.113.9:1", "198.51.100.7"))
	require.Zero(t, logged())
	u.CheckRequest(from("127.0.0.1:1", "198.51.100.7"))
	u.CheckRequest(from("[::1]:1", "198.51.100.8"))
	require.Equal(t, 1, logged())
	require.Contains(t, log.String(), "trusted_proxies")
	require.NotContains(t, log.String(), "198.51.100")
	now = now.Add(undeclaredEvery)
	u.CheckRequest(from("127.0.0.1:1", "198.51.100.7"))
	require.Equal(t, 2, logged())
	require.EqualValues(t, 3, u.Total())

	u = NewUndeclared(openProxies(t, "10.0.0.0/8"), slog.New(slog.NewTextHandler(&log, nil)), clock)
	u.CheckRequest(from("127.0.0.1:1", "198.51.100.7"))
	require.Equal(t, 2, logged(), "proxies are declared")
}
