package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/fault"
)

// routes is the one table of all that the operator listener answers. Each area
// adds a function that gives its rows, in a file of its own; what is put together
// outside of this package comes in through Deps.Routes.
func (h *handler) routes() []access.Route {
	return slices.Concat(
		h.emailRoutes(),
		h.sourceRoutes(),
		h.replayRoutes(),
		h.tokenRoutes(),
		h.auditRoutes(),
		h.more,
	)
}

// An email is named by its event id or, exactly, by its number in the ledger. The latter
// has a path of its own, because an event id may be anything.
const (
	emailByID     = "/api/v1/emails/:event_id"
	emailByNumber = "/api/v1/emails-by-number/:number"
)

// emailRoutes are about emails.
func (h *handler) emailRoutes() []access.Route {
	return slices.Concat(
		[]access.Route{{Method: http.MethodGet, Path: "/api/v1/emails", Least: access.Viewer, Handle: h.list}},
		h.routesOf(emailByID), h.routesOf(emailByNumber),
	)
}

// routesOf are about one email, whose path begins with email. An attachment that is not
// clean asks for the operator role on top. An edit takes effect by a decision.
func (h *handler) routesOf(email string) []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: email, Least: access.Viewer, Handle: h.show},
		{Method: http.MethodGet, Path: email + "/raw", Least: access.Operator, Handle: h.raw},
		{Method: http.MethodGet, Path: email + "/attachments/:sha256", Least: access.Viewer, Handle: h.attachment},
		{Method: http.MethodPost, Path: email + "/decisions", Least: access.Operator, Handle: h.decide},
		{Method: http.MethodPost, Path: email + "/edits/preview", Least: access.Operator, Handle: h.previewEdit},
		{Method: http.MethodGet, Path: email + "/custody", Least: access.Operator, Handle: h.custody},
	}
}

// sourceRoutes are about the webhook sources.
func (h *handler) sourceRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/api/v1/sources", Least: access.Viewer, Handle: h.sources},
		{Method: http.MethodGet, Path: "/api/v1/sources/:name/failures", Least: access.Operator, Handle: h.listFailures},
	}
}

// serve answers a route once its caller may use it.
func (h *handler) serve(r access.Route) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Set(routeKey, r)
		if paged(r) {
			access.SetPagePolicy(c.Writer.Header())
		}
		err := h.admit(c, r)
		if err == nil {
			err = r.Handle(c)
		}
		if err != nil {
			h.refuse(c, err)
		}
	}
}

// paged reports whether a route answers people with pages.
func paged(r access.Route) bool { return r.Auth == access.Page || r.Auth == access.Public }

// nothing answers what no route does. Who is not known learns only that.
func (h *handler) nothing(f *fault.Error) gin.HandlerFunc {
	row := access.Route{Least: access.Viewer, Handle: func(*gin.Context) error { return f }}
	api := h.serve(row)
	row.Auth = access.Page
	page := h.serve(row)
	return func(c *gin.Context) {
		path := c.Request.URL.Path
		if strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/codec/") || !strings.Contains(c.GetHeader("Accept"), "text/html") {
			api(c)
			return
		}
		page(c)
	}
}

// admit finds out who is asking, puts it into the request's context, and refuses
// who may not use the route.
func (h *handler) admit(c *gin.Context, r access.Route) error {
	who, err := h.access.Authenticate(c.Request, r.Auth)
	if err != nil {
		return err
	}
	c.Request = c.Request.WithContext(who.Context(c.Request.Context()))
	if !r.Permits(who.Identity) {
		return fault.New(fault.Forbidden, "your role does not allow this")
	}
	return nil
}

// caller gives who sent the request; where it was not authenticated the zero
// identity, which may do nothing.
func caller(c *gin.Context) access.Identity { return access.From(c.Request.Context()) }

// visible refuses what belongs to a tenant in which the caller has no role, as if
// it were not there.
func visible(c *gin.Context, tenant, missing string) error {
	if caller(c).In(tenant) == access.Nobody {
		return fault.New(fault.NotFound, missing)
	}
	return nil
}

// permit refuses a caller whose role in tenant is below least.
func permit(c *gin.Context, tenant string, least access.Role) error {
	if caller(c).In(tenant) < least {
		return fault.New(fault.Forbidden, "your role does not allow this")
	}
	return nil
}

// routeOf gives the route that is being answered; where there is none one that
// only an admin may use.
func routeOf(c *gin.Context) access.Route {
	r, _ := c.Get(routeKey)
	if route, ok := r.(access.Route); ok {
		return route
	}
	return access.Route{Least: access.Admin}
}

// leastOf gives the least role of the route that is being answered.
func leastOf(c *gin.Context) access.Role { return routeOf(c).Least }
