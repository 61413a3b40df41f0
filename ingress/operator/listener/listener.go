// Package listener serves a table of routes to operators: it identifies the caller,
// refuses callers whose role does not allow the route, turns failures into answers, JSON
// or pages, and logs each request.
//
// Invariants: every path asks for a token or a session first, so that nothing can be
// learned without one, not even which paths exist; log lines have ids, codes and the
// caller's name, never mail content, a query or a token; the cause of a failure goes to
// the log and never to the caller.
package listener

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/guard"
	"mailroom/ingress/operator/access"
	"mailroom/shared/fault"
)

// codeKey is the key in a request of the code that it was refused with.
const codeKey = "code"

// Deps is what a listener needs; all but Now is required.
type Deps struct {
	Access *access.Authenticator
	Pages  access.Pages
	Logger *slog.Logger
	Now    func() time.Time // nil means time.Now
}

type server struct {
	access    *access.Authenticator
	pages     access.Pages
	logger    *slog.Logger
	now       func() time.Time
	strangers strangers
}

// New returns the handler of a table of routes. Event ids stand percent-encoded in paths,
// "/" included. Timeouts are those of the HTTP server that the handler is put into.
func New(routes []access.Route, deps Deps) (http.Handler, error) {
	if deps.Access == nil || deps.Pages == nil || deps.Logger == nil {
		return nil, errors.New("operator listener: a dependency is missing")
	}
	s := &server{access: deps.Access, pages: deps.Pages, logger: deps.Logger, now: deps.Now}
	if s.now == nil {
		s.now = time.Now
	}

	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	if err := engine.SetTrustedProxies(nil); err != nil {
		return nil, fmt.Errorf("operator listener: %w", err)
	}
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	// gin unescapes path values as if they were a query, which turns "+" into a
	// space; handlers unescape them themselves.
	engine.UseEscapedPath = true
	engine.UnescapePathValues = false

	engine.Use(s.observe, guard.Recover(s.logger, "operator.panic", func(c *gin.Context, f *fault.Error) { s.refuse(c, f) }))
	engine.NoRoute(s.refuseAll(fault.New(fault.NotFound, "there is nothing at this path")))
	engine.NoMethod(s.refuseAll(fault.New(fault.MethodNotAllowed, "this path does not accept this method")))
	for _, r := range routes {
		engine.Handle(r.Method, r.Path, s.serve(r))
	}
	return engine, nil
}

// observe sets the headers of every answer and logs the request.
func (s *server) observe(c *gin.Context) {
	start := s.now()
	header := c.Writer.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	defer func() { s.log(c, start) }()
	c.Next()
}

// serve answers a route once its caller may use it.
func (s *server) serve(r access.Route) gin.HandlerFunc {
	return func(c *gin.Context) {
		access.SetRoute(c, r)
		if paged(r) {
			access.SetPagePolicy(c.Writer.Header())
		}

		err := s.admit(c, r)
		if err == nil {
			err = r.Handle(c)
		}
		if err != nil {
			s.refuse(c, err)
		}
	}
}

// admit identifies the caller, puts it into the request's context, and refuses
// callers whose role does not allow the route.
func (s *server) admit(c *gin.Context, r access.Route) error {
	who, err := s.access.Authenticate(c.Request, r.Auth)
	if err != nil {
		return err
	}
	c.Request = c.Request.WithContext(who.Context(c.Request.Context()))
	if !r.Permits(who.Identity) {
		return fault.New(fault.Forbidden, "your role does not allow this")
	}
	return nil
}

// refuseAll answers requests that no route matches. An unknown caller learns only that it
// is unknown.
func (s *server) refuseAll(f *fault.Error) gin.HandlerFunc {
	row := access.Route{Least: access.Viewer, Handle: func(*gin.Context) error { return f }}
	api := s.serve(row)
	row.Auth = access.Page
	page := s.serve(row)

	return func(c *gin.Context) {
		path := c.Request.URL.Path
		if strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/codec/") || !strings.Contains(c.GetHeader("Accept"), "text/html") {
			api(c)
			return
		}
		page(c)
	}
}

// paged reports whether a route answers people with pages.
func paged(r access.Route) bool { return r.Auth == access.Page || r.Auth == access.Public }
