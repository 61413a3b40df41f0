package ingress

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/gin-gonic/gin"

	"mailroom/shared/fault"
)

// observe counts every request, whatever becomes of it.
func (s *Server) observe(c *gin.Context) {
	began := s.now()
	c.Header(correlationHeader, correlationID(c.Request.Header))
	defer func() {
		route := c.FullPath()
		if route == "" {
			route = "none"
		}
		status := c.Writer.Status()
		s.metrics.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
		if status < http.StatusMultipleChoices && c.Request.Method == http.MethodPost {
			s.metrics.ackSeconds.Observe(s.now().Sub(began).Seconds())
		}
	}()
	c.Next()
}

// recover answers for a handler that panicked. What it panicked with may hold mail
// content, so that only its type and the place are logged.
func (s *Server) recover(c *gin.Context) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares the same way
			panic(p)
		}
		s.logger.Error("ingress.panic", slog.String("route", c.FullPath()),
			slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
		if c.Writer.Written() {
			panic(http.ErrAbortHandler) // the answer is torn: the sender must see that
		}
		s.reject(c.Writer, c.Request, nil, fault.New(fault.Internal, "something went wrong inside Mailroom"))
	}()
	c.Next()
}
