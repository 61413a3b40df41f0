package access

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

// Config says who may come in.
type Config struct {
	// Operators are the tokens of the configuration.
	Operators []config.Operator
}

// Deps is what an Authenticator needs.
type Deps struct {
	Now func() time.Time // nil means time.Now
}

// Authenticator finds out who sends a request. It is safe for concurrent use.
type Authenticator struct {
	configured []configured
	now        func() time.Time
}

// New makes an Authenticator. Without operators it knows nobody.
func New(cfg Config, deps Deps) (*Authenticator, error) {
	list, err := newConfigured(cfg.Operators)
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	a := &Authenticator{configured: list, now: deps.Now}
	if a.now == nil {
		a.now = time.Now
	}
	return a, nil
}

// Authenticate gives who sends r by one of the ways that auth takes. A request
// with a bad token is unauthorized, whatever else it carries.
func (a *Authenticator) Authenticate(r *http.Request, auth Auth) (Identity, error) {
	refused := fault.New(fault.Unauthorized, "this needs an Authorization header with a valid bearer token")
	if header := r.Header.Get("Authorization"); header != "" && (auth == API || auth == CORS) {
		token, ok := bearer(header)
		if !ok {
			return Identity{}, refused
		}
		return a.token(r.Context(), token)
	}
	return Identity{}, refused
}

// token gives whose token it is.
func (a *Authenticator) token(_ context.Context, text string) (Identity, error) {
	who, ok := findConfigured(a.configured, sha256.Sum256([]byte(text)), a.now())
	if !ok {
		return Identity{}, fault.New(fault.Unauthorized, "this needs an Authorization header with a valid bearer token")
	}
	return who, nil
}
