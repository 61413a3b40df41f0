package config

import (
	"fmt"
	"slices"
	"strings"
)

// Serves reports whether mail of the tenant may go to the destination. The
// destination is one of a loaded file: its default tenants are filled in.
func (d Destination) Serves(tenant string) bool { return slices.Contains(d.Tenants, tenant) }

// served returns, for each destination in order, the tenants that it serves: those
// that it names; else the only tenant of the file; else those whose rules name it.
func (f *File) served() [][]string {
	out := make([][]string, len(f.Destinations))
	for i, d := range f.Destinations {
		switch {
		case len(d.Tenants) > 0:
			out[i] = d.Tenants
			continue
		case len(f.Tenants) == 1:
			out[i] = []string{f.Tenants[0].Name}
			continue
		}

		for _, r := range f.Routes {
			if r.When.Tenant != "" && slices.Contains(r.To, d.Name) && !slices.Contains(out[i], r.When.Tenant) {
				out[i] = append(out[i], r.When.Tenant)
			}
		}
	}
	return out
}

// checkTenants refuses rules that do not say whose mail a destination gets: with several
// tenants, a rule and a destination of which neither names one; a rule of a tenant
// that its destination does not serve; notices of holds for a destination that serves
// no tenant.
func (c *checker) checkTenants(f *File) {
	served := f.served()
	for i, d := range f.Destinations {
		for j, name := range d.Tenants {
			if _, ok := f.Tenant(name); !ok {
				c.add(fmt.Sprintf("no tenant is named %q", name), "destinations", i, "tenants", j)
			}
		}
		if len(d.Tenants) > 0 || len(f.Tenants) < 2 {
			continue
		}

		if open := f.openRules(d.Name); len(open) > 0 {
			c.add(fmt.Sprintf("must name the tenants that destinations[%d] serves, or the rules that name it must have a tenant (when.tenant), which is missing in %s",
				i, strings.Join(open, " and ")), "destinations", i, "tenants")
		}
	}

	for i, r := range f.Routes {
		if _, ok := f.Tenant(r.When.Tenant); !ok {
			continue
		}
		for j, name := range r.To {
			at := slices.IndexFunc(f.Destinations, func(d Destination) bool { return d.Name == name })
			if at >= 0 && !slices.Contains(served[at], r.When.Tenant) {
				c.add(fmt.Sprintf("destinations[%d].tenants does not name %q, the tenant of routes[%d]", at, r.When.Tenant, i),
					"routes", i, "to", j)
			}
		}
	}

	at := slices.IndexFunc(f.Destinations, func(d Destination) bool { return d.Name == f.Holds.Notify })
	if at >= 0 && len(served[at]) == 0 && !c.wrong("destinations", at, "tenants") {
		c.add(fmt.Sprintf("destinations[%d] serves no tenant: it must name those whose held mail it is notified of", at), "holds", "notify")
	}
}

// openRules returns the paths of the rules without a tenant that name a destination.
func (f *File) openRules(destination string) []string {
	var out []string
	for i, r := range f.Routes {
		if r.When.Tenant == "" && slices.Contains(r.To, destination) {
			out = append(out, fmt.Sprintf("routes[%d]", i))
		}
	}
	return out
}
