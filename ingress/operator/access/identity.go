// Package access identifies the caller of a request to the operator listener and knows
// what its roles allow.
//
// Invariants: an identity comes from our own authentication (a bearer token, a
// session) and never from what a request claims; the zero identity may do nothing;
// a role is valid for its own tenants and for no other.
package access

import (
	"context"
	"maps"
	"slices"

	"mailroom/shared/fault"
)

// Role is what a caller may do. Each role includes the ones before it.
type Role int

// The roles. NoRole is the zero role.
const (
	NoRole   Role = iota
	Viewer        // reads emails, and attachments that are clean
	Operator      // reads raw mail and what is quarantined, decides, replays, pauses
	Admin         // changes routes and tokens
)

// ParseRole returns the role of a name, and NoRole for any other text.
func ParseRole(name string) Role {
	for r := Viewer; r <= Admin; r++ {
		if r.String() == name {
			return r
		}
	}
	return NoRole
}

// String returns the name that configuration and API use.
func (r Role) String() string {
	return [...]string{"none", "viewer", "operator", "admin"}[min(max(r, NoRole), Admin)]
}

// Everywhere is the key of Identity.Roles that stands for every tenant.
const Everywhere = "*"

// Identity is the caller of a request.
type Identity struct {
	// Name is what decisions record: the name of a token, or the subject that the
	// OpenID provider vouches for.
	Name string
	// Person is the person as which approvals count where more than one is needed: the
	// owner of a token, or the person that logged in. Two names of one person count once.
	Person string
	// Display is what people see; it may be empty.
	Display string
	// Roles has the role for each tenant; Everywhere stands for all of them.
	Roles map[string]Role
}

// In returns the role for one tenant: the higher of its own and that for every tenant.
func (i Identity) In(tenant string) Role { return max(i.Roles[tenant], i.Roles[Everywhere]) }

// Best returns the highest role for any tenant.
func (i Identity) Best() Role {
	best := NoRole
	for _, r := range i.Roles {
		best = max(best, r)
	}
	return best
}

// Require refuses a caller whose role in a tenant is below least. For a caller without any
// role there, what is asked for does not exist: the fault is not_found, with missing.
func (i Identity) Require(tenant string, least Role, missing string) error {
	switch role := i.In(tenant); {
	case role == NoRole:
		return fault.New(fault.NotFound, missing)
	case role < least:
		return fault.New(fault.Forbidden, "your role does not allow this: it needs the "+least.String()+" role in the tenant")
	}
	return nil
}

// Tenants lists, sorted, the tenants for which the role is at least r; all is true
// where it is so for every tenant, and the list nil then and only then, as
// ledger.Filter.Tenants and ledger.Lookup.Tenants have it.
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

// With returns a context with the caller.
func With(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, who)
}

// From returns the caller; the zero identity where it was not authenticated.
func From(ctx context.Context) Identity {
	who, _ := ctx.Value(contextKey{}).(Identity)
	return who
}
