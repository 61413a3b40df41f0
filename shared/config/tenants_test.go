package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tenantsExample has two tenants, three destinations and the routes that are given.
func tenantsExample(routes string, change ...string) string {
	text := `
sources:
  - {name: mailparse, path: /webhooks/email, profile: mailparse, schemes: [timestamp-hmac], secrets: [{ref: "env:WEBHOOK_SECRET"}], tenant: acme}
tenants:
  - {name: acme, domains: [acme.example]}
  - {name: globex, domains: [globex.example]}
destinations:
  - {name: zero, url: "https://zero.example", secret: {ref: "env:TICKETING_SECRET"}}
  - {name: one, url: "https://one.example", secret: {ref: "env:TICKETING_SECRET"}}
  - {name: two, url: "https://two.example", secret: {ref: "env:TICKETING_SECRET"}}
routes:
` + routes
	return strings.NewReplacer(change...).Replace(text)
}

func TestDestinationsServeTheTenantsWhoseRulesNameThem(t *testing.T) {
	t.Parallel()
	serves := func(text string) map[string][]string {
		f, err := load(t.Context(), "m.yaml", []byte(text), RoleAll, resolver(environment(nil)), now())
		require.NoError(t, err)
		out := map[string][]string{}
		for _, d := range f.Destinations {
			out[d.Name] = d.Tenants
		}
		return out
	}
	require.Equal(t, map[string][]string{"zero": {"globex", "acme"}, "one": {"acme"}, "two": nil}, serves(tenantsExample(`
  - {name: a, when: {tenant: globex}, to: [zero]}
  - {name: b, when: {tenant: acme}, to: [zero, one]}
  - {name: c, when: {tenant: acme, sender: "x"}, to: [one]}
`)))
	require.Equal(t, map[string][]string{"zero": {"globex"}, "one": {"acme", "globex"}, "two": nil}, serves(tenantsExample(`
  - {name: a, to: [zero, one]}
  - {name: b, when: {tenant: acme}, to: [one]}
holds: {notify: one}
`, "{name: zero,", "{name: zero, tenants: [globex],", "{name: one,", "{name: one, tenants: [acme, globex],")))
	// With one tenant every destination is its own, also one that only edits name.
	require.Equal(t, map[string][]string{"zero": {"acme"}, "one": {"acme"}, "two": {"acme"}}, serves(tenantsExample(`
  - {name: a, to: [zero]}
`, "  - {name: globex, domains: [globex.example]}\n", "")))
	f := loadHolds(t, "")
	require.True(t, f.Destinations[0].Serves("default"))
	require.False(t, f.Destinations[0].Serves("Default"))
	require.False(t, f.Destinations[0].Serves(""))
}

// TestWhoseMailADestinationGetsIsNotLeftOpen: a rule for every tenant made each
// tenant's mail go to one tenant's system.
func TestWhoseMailADestinationGetsIsNotLeftOpen(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		routes string
		change []string
		want   []string
	}{
		"a rule and a destination without tenants": {
			"  - {name: a, when: {sender: x}, to: [one]}\n  - {name: b, when: {tenant: acme}, to: [one, two]}\n  - {name: c, to: [one]}\n", nil,
			[]string{"destinations[1].tenants: must name the tenants that destinations[1] serves, or the rules that name it must have a tenant (when.tenant), which is missing in routes[0] and routes[2]"},
		},
		"a rule of another tenant": {
			"  - {name: a, when: {tenant: acme}, to: [two, one]}\n", []string{"{name: one,", "{name: one, tenants: [globex],"},
			[]string{`routes[0].to[1]: destinations[1].tenants does not name "acme", the tenant of routes[0]`},
		},
		"an unknown tenant": {
			"  - {name: a, to: [one]}\n", []string{"{name: one,", "{name: one, tenants: [acme, initech],"},
			[]string{`destinations[1].tenants[1]: no tenant is named "initech"`},
		},
		"no tenant": {
			"  - {name: a, when: {tenant: acme}, to: [one]}\n", []string{"{name: one,", "{name: one, tenants: [],"},
			[]string{"destinations[1].tenants: must have at least 1 entries"},
		},
		"notices for a destination of none": {
			"  - {name: a, when: {tenant: acme}, to: [one]}\nholds: {notify: two}\n", nil,
			[]string{"holds.notify: destinations[2] serves no tenant: it must name those whose held mail it is notified of"},
		},
	} {
		got := mistakes(t, tenantsExample(row.routes, row.change...), nil)
		if name == "no tenant" { // the schema's sentence
			require.Len(t, got, 1, name)
			require.True(t, strings.HasPrefix(got[0], "destinations[1].tenants: "), got[0])
			continue
		}
		require.Equal(t, row.want, got, name)
	}
}

// TestOneDomainHasOneTenant in whatever form its name is written.
func TestOneDomainHasOneTenant(t *testing.T) {
	t.Parallel()
	routes := "  - {name: a, when: {tenant: acme, recipient: \"support@*\", tag: \"vip*\"}, to: [one]}\n"
	require.Equal(t, []string{`tenants[1].domains[0]: "XN--bcher-kva.example" belongs to tenants[0]`},
		mistakes(t, tenantsExample(routes, "domains: [acme.example]", "domains: [Bücher.example]", "domains: [globex.example]", "domains: [XN--bcher-kva.example]"), nil))
	for _, wrong := range []string{"a b.example", "-a.example", "a..example", "*.example", "a.example/"} {
		got := mistakes(t, tenantsExample(routes, "domains: [acme.example]", `domains: ["`+wrong+`"]`), nil)
		require.Equal(t, []string{"tenants[0].domains[0]: must be a domain such as yourapp.example or bücher.example"}, got, wrong)
	}
	f, err := load(t.Context(), "m.yaml", []byte(tenantsExample(routes, "domains: [acme.example]", "domains: [acme.example], case_sensitive: true")),
		RoleAll, resolver(environment(nil)), now())
	require.NoError(t, err)
	require.True(t, f.Tenants[0].CaseSensitive)
	require.Equal(t, "vip*", f.Routes[0].When.Tag)
}
