package operations

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/shared/config"
	"mailroom/shared/ledger"
)

// TokenStore lists the tokens that admins have created.
type TokenStore interface {
	Tokens(ctx context.Context) ([]ledger.Token, error)
}

// TokenState says whether a token works.
type TokenState string

// The states of a token.
const (
	TokenValid   TokenState = "valid"
	TokenExpired TokenState = "expired"
	TokenRevoked TokenState = "revoked"
	TokenAbsent  TokenState = "absent" // its reference has no value any more
)

// Token shows what a bearer token may do, and never its text.
type Token struct {
	Name  string     `json:"name"`
	State TokenState `json:"state"`
	// Configured is whether it is part of the configuration; Ref names its secret there.
	Configured bool   `json:"configured"`
	Ref        string `json:"ref"`
	// Roles are the names of roles by tenant; "*" holds for every tenant.
	Roles map[string]string `json:"roles"`
	// Owner is the person that it counts as where several have to approve.
	Owner string `json:"owner"`
	// CreatedBy, CreatedAt and LastUsedAt are not known of a token of the configuration.
	CreatedBy  string     `json:"created_by"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"` // null: never
	RevokedBy  string     `json:"revoked_by"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // to about a minute
}

// Tokens shows who may do what with a bearer token.
type Tokens struct {
	configured []config.Operator
	store      TokenStore
	now        func() time.Time
}

// NewTokens shows the tokens of these operators and of store; now may be nil.
func NewTokens(configured []config.Operator, store TokenStore, now func() time.Time) (*Tokens, error) {
	if store == nil {
		return nil, errors.New("tokens service: the store is missing")
	}
	if now == nil {
		now = time.Now
	}
	return &Tokens{configured: configured, store: store, now: now}, nil
}

// List returns the tokens with a role in one of tenants, nil meaning all, sorted by name:
// of each its roles there and those in every tenant. Where a token may do something
// elsewhere, its reference is not shown.
func (s *Tokens) List(ctx context.Context, tenants []string) ([]Token, error) {
	created, err := s.store.Tokens(ctx)
	if err != nil {
		return nil, err
	}

	now := s.now()
	all := make([]Token, 0, len(s.configured)+len(created))
	for _, o := range s.configured {
		all = append(all, ofOperator(o, now))
	}
	for _, t := range created {
		all = append(all, ofCreated(t, now))
	}

	rows := make([]Token, 0, len(all))
	for _, t := range all {
		if tenants != nil && !t.narrow(tenants) {
			continue
		}
		rows = append(rows, t)
	}
	slices.SortStableFunc(rows, func(a, b Token) int { return strings.Compare(a.Name, b.Name) })
	return rows, nil
}

// narrow leaves the roles that apply in tenants, and reports whether there are any.
func (t *Token) narrow(tenants []string) bool {
	roles, elsewhere := map[string]string{}, false
	for tenant, role := range t.Roles {
		if tenant == access.Everywhere || slices.Contains(tenants, tenant) {
			roles[tenant] = role
		}
		elsewhere = elsewhere || !slices.Contains(tenants, tenant)
	}
	t.Roles = roles
	if elsewhere {
		t.Ref = ""
	}
	return len(roles) > 0
}

// ofOperator shows the token of a configured operator.
func ofOperator(o config.Operator, now time.Time) Token {
	t := Token{Name: o.Name, State: TokenValid, Configured: true, Ref: o.Token.Ref, Roles: map[string]string{}, Owner: cmp.Or(o.Owner, o.Name)}
	if o.Role != "" {
		t.Roles[access.Everywhere] = o.Role
	}
	for tenant, role := range o.Roles {
		t.Roles[tenant] = role
	}

	if !o.Token.Expires.IsZero() {
		expires := o.Token.Expires.UTC()
		t.ExpiresAt = &expires
	}
	switch {
	case t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
		t.State = TokenExpired
	case o.Token.Key.Reveal() == "":
		t.State = TokenAbsent
	}
	return t
}

// ofCreated shows a token that an admin has created.
func ofCreated(row ledger.Token, now time.Time) Token {
	t := Token{
		Name: row.Name, State: TokenValid, Roles: row.Roles, Owner: row.Owner, CreatedBy: row.CreatedBy, CreatedAt: &row.CreatedAt,
		ExpiresAt: row.ExpiresAt, RevokedBy: row.RevokedBy, RevokedAt: row.RevokedAt, LastUsedAt: row.LastUsedAt,
	}
	switch {
	case row.RevokedAt != nil:
		t.State = TokenRevoked
	case row.ExpiresAt != nil && !now.Before(*row.ExpiresAt):
		t.State = TokenExpired
	}
	return t
}
