// Package access authenticates the callers of the operator listener and decides what they
// may do: bearer tokens, sessions, logins by token or OpenID provider, and roles by tenant.
//
// Invariants:
//
//   - An identity comes from a verified bearer token or session, never from what a request
//     claims about itself.
//   - The zero Identity may do nothing.
//   - A role applies to the tenants for which it was assigned, and to no other.
//   - A failing database never makes a known caller unknown: the answer is 503, not 401.
//
// Route is one row of the table of everything that the operator listener serves. To follow
// a request, read ingress/operator/listener, then Authenticate in authenticator.go; for a
// login, read login.go and oidc.go.
package access

import (
	"context"
	"maps"
	"slices"

	"mailroom/shared/fault"
)

// Role is what a caller may do. Each role includes the ones below it.
type Role int

// The roles. NoRole is the zero value and permits nothing.
const (
	NoRole   Role = iota
	Viewer        // reads emails and clean attachments
	Operator      // reads raw and quarantined mail, decides, replays, pauses destinations
	Admin         // lists tokens; in every tenant: manages them, reads the audit chain
)

// ParseRole returns the role with the given name, NoRole if there is none.
func ParseRole(name string) Role {
	for r := Viewer; r <= Admin; r++ {
		if r.String() == name {
			return r
		}
	}
	return NoRole
}

// String returns the name in the configuration and the API.
func (r Role) String() string {
	return [...]string{"none", "viewer", "operator", "admin"}[min(max(r, NoRole), Admin)]
}

// Everywhere is the key of Identity.Roles for a role in every tenant.
const Everywhere = "*"

// Identity is an authenticated caller.
type Identity struct {
	// Name is the actor in recorded decisions: the name of a token, or the name or
	// subject that the OpenID provider has verified.
	Name string
	// Person identifies the human for holds that need several approvals: the owner of a
	// token, or the person that logged in. Two names with one Person are one approval.
	Person string
	// Display is the name on pages; it may be empty.
	Display string
	// Roles maps tenants to roles; the role of Everywhere applies to every tenant.
	Roles map[string]Role
}

// In returns the role in one tenant: the higher of its own and that of Everywhere.
func (i Identity) In(tenant string) Role { return max(i.Roles[tenant], i.Roles[Everywhere]) }

// Best returns the highest role in any tenant.
func (i Identity) Best() Role {
	best := NoRole
	for _, r := range i.Roles {
		best = max(best, r)
	}
	return best
}

// Require returns nil if the role in a tenant is least or higher. Otherwise it returns a fault:
// forbidden, or not_found with the text missing for a caller that has no role in the tenant,
// so that it cannot learn what exists there.
func (i Identity) Require(tenant string, least Role, missing string) error {
	switch role := i.In(tenant); {
	case role == NoRole:
		return fault.New(fault.NotFound, missing)
	case role < least:
		return fault.New(fault.Forbidden, "your role does not allow this: it needs the "+least.String()+" role in the tenant")
	}
	return nil
}

// Tenants returns the tenants in which the role is at least r, sorted. If it is so in every
// tenant, all is true and the list nil; otherwise the list is not nil. That is the form of
// ledger.Filter.Tenants and ledger.Lookup.Tenants.
func (i Identity) Tenants(r Role) (tenants []string, all bool) {
	if i.Roles[Everywhere] >= r {
		return nil, true
	}
	tenants = []string{}
	for _, t := range slices.Sorted(maps.Keys(i.Roles)) {
		if i.Roles[t] >= r {
			tenants = append(tenants, t)
		}
	}
	return tenants, false
}

type contextKey struct{}

// With returns ctx with the caller's identity.
func With(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, who)
}

// From returns the identity in ctx, or the zero Identity if there is none.
func From(ctx context.Context) Identity {
	who, _ := ctx.Value(contextKey{}).(Identity)
	return who
}
