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

// Config configures an Authenticator.
type Config struct {
	// Operators are the operators of the configuration, with their tokens.
	Operators []config.Operator
	Access    config.Access
	// TrustedProxies are the networks whose X-Forwarded-For is trusted, as on the public
	// listener.
	TrustedProxies []string
}

// Deps are the dependencies of an Authenticator. All but Now are required.
type Deps struct {
	Tokens   Tokens
	Sessions Sessions
	Now      func() time.Time // nil means time.Now
}

// Authenticator identifies the sender of a request by a bearer token or a session. It is
// safe for concurrent use.
type Authenticator struct {
	access  config.Access
	now     func() time.Time
	origin  *http.CrossOriginProtection
	proxies *guard.Proxies
	lookups *lookups
	tokens  *tokenTable
	cookies cookies

	sessions     Sessions
	sessionCache *cache[ledger.Session]
}

// New returns an Authenticator. It returns an error for a missing dependency, and for
// mistakes in the operators, the proxies or the public URL.
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

	if deps.Now == nil {
		deps.Now = time.Now
	}
	cfg.Access.ApplyDefaults()
	queries := newLookups(proxies)
	a := &Authenticator{
		access: cfg.Access, now: deps.Now, origin: http.NewCrossOriginProtection(), proxies: proxies, lookups: queries,
		tokens: &tokenTable{
			configured: list, store: deps.Tokens, lookups: queries, cache: newCache[ledger.Token](), now: deps.Now,
		},
		cookies:  cookies{secure: strings.HasPrefix(cfg.Access.PublicURL, "https://")},
		sessions: deps.Sessions, sessionCache: newCache[ledger.Session](),
	}

	if a.access.PublicURL != "" {
		// Behind a proxy, the Host header here may differ from the public one.
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

// Context returns ctx with the caller, for From and SessionFrom.
func (c Caller) Context(ctx context.Context) context.Context {
	ctx = With(ctx, c.Identity)
	if c.Session != nil {
		ctx = context.WithValue(ctx, sessionKey{}, *c.Session)
	}
	return ctx
}

// Authenticate returns the sender of r, by one of the ways that auth permits. It returns a
// fault of code
//
//   - unauthorized if the sender is unknown; so is one with an invalid token and a session,
//   - forbidden if a session's request was not sent by a page of Mailroom,
//   - rate_limited if the address has sent too many invalid tokens,
//   - storage_unavailable if the database cannot be asked.
//
// For Public it returns the zero Caller instead of a fault.
func (a *Authenticator) Authenticate(r *http.Request, auth Auth) (Caller, error) {
	if header := r.Header.Get("Authorization"); header != "" && (auth == API || auth == CORS) {
		text, ok := bearer(header)
		if !ok {
			return Caller{}, errNoToken
		}
		who, err := a.tokens.byText(r, text)
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
		err = a.checkProof(r, c.Session)
	}
	if err != nil {
		return Caller{}, err
	}

	return c, nil
}

// groupRoles returns the roles by tenant that the configuration assigns to groups of the
// OpenID provider.
func groupRoles(assigned []config.OIDCGroup, groups []string) map[string]Role {
	roles := map[string]Role{}
	for _, g := range assigned {
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
