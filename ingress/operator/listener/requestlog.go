package listener

import (
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
)

// refusedEvery is how often requests without a valid token are logged.
const refusedEvery = 10 * time.Second

// methods are those that a log line names; a client can send any other text.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodConnect, http.MethodOptions, http.MethodTrace,
}

func methodName(method string) string {
	if slices.Contains(methods, method) {
		return method
	}
	return "other"
}

// strangers counts requests without a valid token, so that a flood of them does
// not fill the log.
type strangers struct {
	mu     sync.Mutex
	count  int
	logged time.Time
}

// add counts one more and returns how many to log now, 0 for none.
func (s *strangers) add(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if now.Sub(s.logged) < refusedEvery {
		return 0
	}
	count := s.count
	s.count, s.logged = 0, now
	return count
}

// log writes one line for each request of a known caller. The others share one,
// with the address of the last.
func (s *server) log(c *gin.Context, start time.Time) {
	code := slog.String("code", c.GetString(codeKey))
	who := access.From(c.Request.Context())
	if who.Name == "" {
		if count := s.strangers.add(s.now()); count > 0 {
			host, _, err := net.SplitHostPort(c.Request.RemoteAddr)
			if err != nil {
				host = c.Request.RemoteAddr
			}
			s.logger.Info("operator.refused", code, slog.Int("count", count), slog.String("remote", host))
		}
		return
	}

	attrs := []any{
		slog.String("method", methodName(c.Request.Method)), slog.String("route", c.FullPath()),
		slog.Int("status", c.Writer.Status()), slog.Int64("took_ms", s.now().Sub(start).Milliseconds()),
	}
	if code.Value.String() != "" {
		attrs = append(attrs, code)
	}

	s.logger.Info("operator.request", append(attrs, slog.String("actor", who.Name))...)
}
