// Package access says who is asking and what they may do.
//
// Invariants: an identity comes from our own authentication (a bearer token, a
// session) and never from what a request claims; the zero identity may do nothing;
// a role holds for the tenants that it was given for and for no other.
package access

import (
	"context"
	"maps"
	"slices"
)

// Role is what somebody may do. Each role may do what the ones below it may.
type Role int

// The roles. Nobody is the zero role.
const (
	Nobody   Role = iota
	Viewer        // reads emails, and attachments that are clean
	Operator      // reads raw mail and what is quarantined, decides, replays, pauses
	Admin         // changes routes and tokens
)

// ParseRole gives the role of a name; a name that is none gives Nobody.
func ParseRole(name string) Role {
	for r := Viewer; r <= Admin; r++ {
		if r.String() == name {
			return r
		}
	}
	return Nobody
}

// String gives the name that configuration and API use.
func (r Role) String() string {
	return [...]string{"nobody", "viewer", "operator", "admin"}[min(max(r, Nobody), Admin)]
}

// Everywhere is the key of Identity.Roles that stands for every tenant.
const Everywhere = "*"

// Identity is who is asking.
type Identity struct {
	// Name is what decisions record: the name of a token, or the subject that the
	// OpenID provider vouches for.
	Name string
	// Person is whom approvals count as, where more than one is needed: the owner of a
	// token, or who logged in. Two names of one person are one person.
	Person string
	// Display is what people see; it may be empty.
	Display string
	// Roles gives the role by tenant; Everywhere holds for all of them.
	Roles map[string]Role
}

// In gives the role for one tenant: the higher of its own and that for every tenant.
func (i Identity) In(tenant string) Role { return max(i.Roles[tenant], i.Roles[Everywhere]) }

// Best gives the highest role for any tenant.
func (i Identity) Best() Role {
	best := Nobody
	for _, r := range i.Roles {
		best = max(best, r)
	}
	return best
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

// With gives a context that carries who is asking.
func With(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, who)
}

// From gives who is asking; the zero identity where nobody was authenticated.
func From(ctx context.Context) Identity {
	who, _ := ctx.Value(contextKey{}).(Identity)
	return who
}
