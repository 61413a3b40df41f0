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

// TestUndeclaredProxyIsTold: once in a while, and only of what is one.
func TestUndeclaredProxyIsTold(t *testing.T) {
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
	told := func() int { return strings.Count(log.String(), "ingress.undeclared_proxy") }
	u := NewUndeclared(&Proxies{}, slog.New(slog.NewTextHandler(&log, nil)), clock)
	u.Note(from("127.0.0.1:1"))
	u.Note(from("203.0.113.9:1", "198.51.100.7"))
	require.Zero(t, told())
	u.Note(from("127.0.0.1:1", "198.51.100.7"))
	u.Note(from("[::1]:1", "198.51.100.8"))
	require.Equal(t, 1, told())
	require.Contains(t, log.String(), "trusted_proxies")
	require.NotContains(t, log.String(), "198.51.100")
	now = now.Add(undeclaredEvery)
	u.Note(from("127.0.0.1:1", "198.51.100.7"))
	require.Equal(t, 2, told())
	require.EqualValues(t, 3, u.Total())

	u = NewUndeclared(openProxies(t, "10.0.0.0/8"), slog.New(slog.NewTextHandler(&log, nil)), clock)
	u.Note(from("127.0.0.1:1", "198.51.100.7"))
	require.Equal(t, 2, told(), "somebody has thought of proxies")
}
