package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mailroom/ingress/guard"
	"mailroom/shared/config"
	"mailroom/shared/ledger"
)

// Config names the callers that the configuration knows.
type Config struct {
	// Operators are the tokens of the configuration.
	Operators []config.Operator
	Access    config.Access
	// TrustedProxies may name the address of the client in a header, as on the public listener.
	TrustedProxies []string
}

// Deps is what an Authenticator needs; all but Now is required.
type Deps struct {
	Tokens   Tokens
	Sessions Sessions
	Now      func() time.Time // nil means time.Now
}

// Authenticator identifies the caller of a request. It is safe for concurrent use.
type Authenticator struct {
	access     config.Access
	configured []configured
	tokens     Tokens
	sessions   Sessions
	secure     bool // cookies are for TLS alone
	now        func() time.Time

	origin  *http.CrossOriginProtection
	proxies *guard.Proxies
	lookups *lookups

	tokenCache   *cache[ledger.Token]
	sessionCache *cache[ledger.Session]
}

// New returns an Authenticator. Without operators and tokens it knows no caller.
func New(cfg Config, deps Deps) (*Authenticator, error) {
	if deps.Tokens == nil || deps.Sessions == nil {
		return nil, errors.New("access: a dependency is missing")
	}
	list, err := newConfigured(cfg.Operators)
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}

	proxies, err := guard.NewProxies(cfg.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}

	cfg.Access.ApplyDefaults()
	a := &Authenticator{
		access: cfg.Access, configured: list, tokens: deps.Tokens, sessions: deps.Sessions, now: deps.Now,
		secure: strings.HasPrefix(cfg.Access.PublicURL, "https://"), origin: http.NewCrossOriginProtection(), proxies: proxies,
		lookups:    newLookups(proxies),
		tokenCache: newCache[ledger.Token](), sessionCache: newCache[ledger.Session](),
	}
	if a.now == nil {
		a.now = time.Now
	}

	if a.access.PublicURL != "" {
		// Behind a proxy the Host that arrives here may be another.
		if err := a.origin.AddTrustedOrigin(strings.TrimSuffix(a.access.PublicURL, "/")); err != nil {
			return nil, errors.New("access: public_url is not an origin such as https://mailroom.example.com")
		}
	}

	return a, nil
}

// Caller is the sender of a request.
type Caller struct {
	Identity
	Session *Session // nil: a bearer token, or an unknown caller
}

// Context returns a context with the caller, for From and SessionFrom.
func (c Caller) Context(ctx context.Context) context.Context {
	ctx = With(ctx, c.Identity)
	if c.Session != nil {
		ctx = context.WithValue(ctx, sessionKey{}, *c.Session)
	}
	return ctx
}

// Authenticate identifies the caller of r in one of the ways that auth accepts. It fails
// with fault.Unauthorized for an unknown caller, fault.Forbidden for a request that our
// pages did not send, fault.RateLimited after too many attempts, and
// fault.StorageUnavailable when tokens cannot be looked up. A bad token is unauthorized
// whatever else the request contains. Public never fails.
func (a *Authenticator) Authenticate(r *http.Request, auth Auth) (Caller, error) {
	if header := r.Header.Get("Authorization"); header != "" && (auth == API || auth == CORS) {
		text, ok := bearer(header)
		if !ok {
			return Caller{}, errNoToken
		}
		who, err := a.byToken(r, text)
		return Caller{Identity: who}, err
	}

	c, err := a.bySession(r)
	if auth == Public {
		return c, nil
	}
	if err != nil && auth != Page && errors.Is(err, errNoSession) {
		err = errNoToken
	}
	if err == nil && auth != CORS {
		err = a.proven(r, c.Session)
	}
	if err != nil {
		return Caller{}, err
	}

	return c, nil
}

// rolesOf returns the roles that the configuration assigns to groups of the OpenID provider.
func (a *Authenticator) rolesOf(groups []string) map[string]Role {
	roles := map[string]Role{}
	for _, g := range a.access.OIDC.Groups {
		for _, group := range groups {
			if g.Group != group {
				continue
			}
			tenants := g.Tenants
			if len(tenants) == 0 {
				tenants = []string{Everywhere}
			}
			for _, t := range tenants {
				roles[t] = max(roles[t], ParseRole(g.Role))
			}
		}
	}

	return roles
}
