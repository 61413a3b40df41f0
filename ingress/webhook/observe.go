package webhook

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
)

// observe counts every request, whatever its answer.
func (s *Server) observe(c *gin.Context) {
	began := s.now()
	s.undeclared.CheckRequest(c.Request)
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
