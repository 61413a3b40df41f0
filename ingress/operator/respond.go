package operator

import (
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/shared/fault"
)

// refusal is the body of every error.
type refusal struct {
	OK      bool       `json:"ok"`
	Error   fault.Code `json:"error"`
	Message string     `json:"message"`
}

// retryAfter is what a caller is told to wait when the fault names no time.
const retryAfter = 5 * time.Second

// status translates a fault's code. Codes that this API never meets are the
// server's own failure: 503 where time may cure them, else 500.
func status(f *fault.Error) int {
	switch f.Code {
	case fault.Unauthorized:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.RequestInvalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case fault.DecisionRefused:
		return http.StatusConflict
	case fault.ContentLost:
		return http.StatusGone
	case fault.BodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.ContentTypeInvalid:
		return http.StatusUnsupportedMediaType
	case fault.Overloaded, fault.StorageUnavailable, fault.TemporalUnavailable, fault.ScannerUnavailable,
		fault.DownstreamUnavailable, fault.BreakerOpen:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// refuse ends the request with err. The cause goes to the log and never out.
func (h *handler) refuse(c *gin.Context, err error) {
	f := fault.From(err)
	code := status(f)
	switch code {
	case http.StatusUnauthorized:
		c.Header("WWW-Authenticate", `Bearer realm="mailroom"`)
	case http.StatusServiceUnavailable:
		wait := f.RetryAfter
		if wait <= 0 {
			wait = retryAfter
		}
		c.Header("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	if code >= http.StatusInternalServerError && c.Request.Context().Err() == nil {
		h.logger.Error("operator.failed", slog.String("route", c.FullPath()),
			slog.String("code", string(f.Code)), slog.Any("error", err))
	}
	c.Set(codeKey, string(f.Code))
	c.AbortWithStatusJSON(code, refusal{Error: f.Code, Message: f.Public})
}
