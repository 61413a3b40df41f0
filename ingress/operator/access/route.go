package access

import (
	"github.com/gin-gonic/gin"
)

// Route is one row of the table of all that the operator listener answers: the
// API, the codec server, the console and the login. Each area has its rows in one
// function.
//
// The least role is required before Handle runs. Where Scope is SomeTenant it may be the
// role in any tenant, and Handle must restrict what it shows and changes to the tenants
// of the caller: From(ctx).Tenants for lists, From(ctx).In for one thing, which is
// not_found where the caller has no role at all.
type Route struct {
	Method string
	Path   string // as gin matches it, such as /api/v1/emails/:event_id
	// Least is the least role that may use it; NoRole goes with Public alone.
	Least Role
	Scope Scope
	Auth  Auth
	// Handle answers, or returns an error before it has written anything; the error is
	// answered as Auth says.
	Handle func(*gin.Context) error
}

// Scope says for which tenants the least role of a route must hold.
type Scope int

// The scopes.
const (
	// SomeTenant: for at least one; the handler restricts the answer.
	SomeTenant Scope = iota
	// EveryTenant: for all of them, because it is about the whole installation.
	EveryTenant
)

// Auth says how a route identifies its caller, and how it refuses.
type Auth int

// The ways.
const (
	// API takes a bearer token or a session. With a session, a request that may
	// change something must prove that it comes from our own pages: same origin,
	// and the session's token in the header X-CSRF-Token or the form field "csrf".
	// Refusals are JSON.
	API Auth = iota
	// CORS is API for a handler that decides itself which other origins may call it
	// with a session, and must refuse all others; no token is asked for.
	CORS
	// Page takes a session alone, with the same proof. A caller without one is sent to the
	// login; other refusals are pages.
	Page
	// Public takes any caller. A session is used where there is one, and no proof is
	// required. Refusals are pages.
	Public
)

// Permits reports whether a caller may use the route, as far as that is known
// before the handler runs.
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

// routeKey is the key of the route in a request.
const routeKey = "route"

// SetRoute keeps the route that is being answered.
func SetRoute(c *gin.Context, r Route) { c.Set(routeKey, r) }

// RouteOf returns the route that is being answered; where there is none, one that only an
// admin may use.
func RouteOf(c *gin.Context) Route {
	if r, ok := c.Value(routeKey).(Route); ok {
		return r
	}
	return Route{Least: Admin}
}
