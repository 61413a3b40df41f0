package operations

import (
	"slices"

	"mailroom/ingress/operator/access"
	"mailroom/shared/config"
)

// Visible returns the part of the configuration that a caller with a role in tenants sees,
// nil meaning all of it. It is the one policy of the API, mailctl and the console, and
// deploy/docs/access.md says the same:
//
//   - the caller's tenants, and the sources of their mail;
//   - the destinations that serve one of them, and of the tenants there only these;
//   - the rules that mail of one of them can match and that lead to such a destination, and
//     of the destinations there only these.
func Visible(c Config, tenants []string) Config {
	if tenants == nil {
		return c
	}

	var out Config
	for _, t := range c.Tenants {
		if slices.Contains(tenants, t.Name) {
			out.Tenants = append(out.Tenants, t)
		}
	}
	for _, s := range c.Sources {
		if slices.Contains(tenants, s.Tenant) {
			out.Sources = append(out.Sources, s)
		}
	}
	for _, d := range c.Destinations {
		if d.Tenants = both(d.Tenants, tenants); len(d.Tenants) > 0 {
			out.Destinations = append(out.Destinations, d)
		}
	}
	for _, r := range c.Routes {
		if r.To = c.leads(r, tenants); len(r.To) > 0 {
			out.Routes = append(out.Routes, r)
		}
	}
	return out
}

// leads returns the destinations of a rule to which mail of one of tenants can go by it.
func (c Config) leads(r config.Route, tenants []string) []string {
	if r.When.Tenant != "" {
		tenants = both(tenants, []string{r.When.Tenant})
	}
	for _, s := range c.Sources {
		if s.Name == r.When.Source {
			tenants = both(tenants, []string{s.Tenant})
		}
	}

	var out []string
	for _, name := range r.To {
		if d, ok := c.destination(name); ok && slices.ContainsFunc(tenants, d.Serves) {
			out = append(out, name)
		}
	}
	return out
}

// destination finds a destination by name.
func (c Config) destination(name string) (config.Destination, bool) {
	at := slices.IndexFunc(c.Destinations, func(d config.Destination) bool { return d.Name == name })
	if at < 0 {
		return config.Destination{}, false
	}
	return c.Destinations[at], true
}

// both returns those of list that are in other too; never nil.
func both(list, other []string) []string {
	return slices.DeleteFunc(slices.Concat([]string{}, list), func(t string) bool { return !slices.Contains(other, t) })
}

// visibleTo returns what a caller sees.
func (s *Service) visibleTo(who access.Identity) Config { return Visible(s.cfg, tenantsOf(who)) }
