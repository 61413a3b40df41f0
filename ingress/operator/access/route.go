package access

import (
	"github.com/gin-gonic/gin"
)

// Route is one row of the table of everything that the operator listener serves: API,
// codec server, console and login. Each area has a function that returns its rows. Tests
// of packages api and console request all of them with every role.
//
// The least role is checked before Handle runs. If Scope is SomeTenant, it is enough in
// any one tenant, and Handle must restrict itself to the tenants of the caller:
// From(ctx).Tenants for lists, From(ctx).In for one object, which is not_found if the
// caller has no role in its tenant.
type Route struct {
	Method string
	Path   string // as gin matches it, such as /api/v1/emails/:event_id
	// Least is the lowest role that may use the route; NoRole only with Public.
	Least Role
	Scope Scope
	Auth  Auth
	// Handle answers the request, or returns an error before it has written anything,
	// which is answered in the form that Auth describes.
	Handle func(*gin.Context) error
}

// Scope is the set of tenants in which a caller needs the least role of a route.
type Scope int

// The scopes.
const (
	// SomeTenant requires the role in at least one tenant; the handler restricts itself.
	SomeTenant Scope = iota
	// EveryTenant requires it in all, because the route is about the whole installation.
	EveryTenant
)

// Auth is how a route authenticates its callers, and the form of its refusals.
type Auth int

// The ways.
const (
	// API requires a bearer token or a session. With a session, a request that may change
	// something must prove that a page of Mailroom sent it: by the same origin, and by the
	// session's token in the header X-CSRF-Token or the form field "csrf". Refusals are
	// JSON.
	API Auth = iota
	// CORS is API for a handler that decides itself which other origins may call it with
	// a session, and must refuse all others. The session's token is not required.
	CORS
	// Page requires a session, with the same proof. A caller without one is redirected to
	// the login; other refusals are pages.
	Page
	// Public accepts any caller without proof; a session is used if the caller has one.
	// Refusals are pages.
	Public
)

// Permits reports whether who may use the route, as far as can be decided before the
// handler runs.
func (r Route) Permits(who Identity) bool {
	switch {
	case r.Auth == Public:
		return true
	case r.Least == NoRole:
		return false
	case r.Scope == EveryTenant:
		return who.Roles[Everywhere] >= r.Least
	}
	return who.Best() >= r.Least
}

// routeKey is the key of the route in a request's context.
const routeKey = "route"

// SetRoute stores the route of the request in c.
func SetRoute(c *gin.Context, r Route) { c.Set(routeKey, r) }

// RouteOf returns the route that SetRoute stored, or one that only an admin may use.
func RouteOf(c *gin.Context) Route {
	if r, ok := c.Value(routeKey).(Route); ok {
		return r
	}
	return Route{Least: Admin}
}
