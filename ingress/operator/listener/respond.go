package listener

import (
	"bytes"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

// refusal is the body of every error.
type refusal struct {
	OK      bool       `json:"ok"`
	Error   fault.Code `json:"error"`
	Message string     `json:"message"`
}

// retryAfter is the Retry-After of a fault that names no time.
const retryAfter = 5 * time.Second

// refuse answers the request with err. The cause goes to the log and never to the caller.
func (s *server) refuse(c *gin.Context, err error) {
	if postgres.Stopped(err) {
		err = fault.Wrap(fault.QueryTimeout, "the database took too long over this and was stopped; if it is a search or a list, "+
			"narrow it: a shorter period, one tenant, one state, or a longer text to look for", err)
	}

	f := fault.From(err)
	code := access.Status(f)
	switch code {
	case http.StatusUnauthorized:
		if paged(access.RouteOf(c)) {
			break
		}
		c.Header("WWW-Authenticate", `Bearer realm="mailroom"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		wait := f.RetryAfter
		if wait <= 0 {
			wait = retryAfter
		}
		c.Header("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}

	if code >= http.StatusInternalServerError && c.Request.Context().Err() == nil {
		s.logger.Error("operator.failed", slog.String("route", c.FullPath()),
			slog.String("code", string(f.Code)), slog.Any("error", err))
	}

	c.Set(codeKey, string(f.Code))
	if r := access.RouteOf(c); paged(r) {
		s.refusePage(c, r, f, code)
		return
	}

	c.AbortWithStatusJSON(code, refusal{Error: f.Code, Message: f.Public})
}

// refusePage answers a browser: with the login where that helps, else with a page that
// says why. htmx must not swap the login into a page, so the browser is redirected as a
// whole.
func (s *server) refusePage(c *gin.Context, r access.Route, f *fault.Error, code int) {
	c.Abort()
	if code == http.StatusUnauthorized && r.Auth == access.Page {
		if c.GetHeader("HX-Request") != "" {
			c.Header("HX-Redirect", access.LoginPath)
			c.Status(http.StatusUnauthorized)
			return
		}
		c.Redirect(http.StatusSeeOther, access.LoginURL(c.Request))
		return
	}

	ctx := c.Request.Context()
	session, _ := access.SessionFrom(ctx)
	var page bytes.Buffer
	err := s.pages.Refused(&page, access.RefusedPage{
		Status: code, Title: http.StatusText(code), Message: f.Public, Who: access.From(ctx), CSRF: session.CSRF,
	})
	if err != nil {
		s.logger.Error("operator.page", slog.Any("error", err))
	}

	c.Data(code, "text/html; charset=utf-8", page.Bytes())
}
