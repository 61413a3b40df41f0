package access

import (
	"github.com/gin-gonic/gin"
)

// Route is one row of the table of all that the operator listener answers: the
// API, the codec server, the console and the login. Each area gives its rows from
// a function of its own, and one test walks all of them with every role.
//
// The least role is asked for before Handle runs. Where Scope is SomeTenant it is
// asked for in any tenant, and Handle must narrow what it shows and touches to the
// tenants of the caller: From(ctx).Tenants for lists, From(ctx).In for one thing,
// which is not_found where the caller has no role at all.
type Route struct {
	Method string
	Path   string // as gin matches it, such as /api/v1/emails/:event_id
	// Least is the least role that may use it; Nobody goes with Public alone.
	Least Role
	Scope Scope
	Auth  Auth
	// Handle answers, or gives an error that is answered as Auth says: nothing may
	// have been written then.
	Handle func(*gin.Context) error
}

// Scope says for which tenants the least role of a route must hold.
type Scope int

// The scopes.
const (
	// SomeTenant: for at least one; the handler narrows.
	SomeTenant Scope = iota
	// EveryTenant: for all of them, because it is about the whole installation.
	EveryTenant
)

// Auth says how a route learns who is asking, and how it refuses.
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
	// Page takes a session alone, with the same proof. Who has none is sent to the
	// login; other refusals are pages.
	Page
	// Public takes anybody. The session is there where there is one, and no proof is
	// asked for. Refusals are pages.
	Public
)

// Permits reports whether who may use the route, as far as that can be said
// before the handler runs.
func (r Route) Permits(who Identity) bool {
	switch {
	case r.Auth == Public:
		return true
	case r.Least == Nobody:
		return false
	case r.Scope == EveryTenant:
		return who.Roles[Everywhere] >= r.Least
	}
	return who.Best() >= r.Least
}

// routeKey is under which a request carries its route.
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
