package rules_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/rules"
)

func TestVersionFollowsEveryField(t *testing.T) {
	t.Parallel()
	to := []config.Destination{{Name: "a", Tenants: []string{"acme"}}, {Name: "b", URL: "https://b.example"}}
	given := func() ([]config.Route, []config.Tenant) {
		return []config.Route{
				{Name: "support", When: config.When{Recipient: "support@*", Header: map[string]string{"x-a": "1", "x-b": "2"}}, To: []string{"a", "b"}},
				{Name: "rest", To: []string{"c"}},
			}, []config.Tenant{
				{Name: "acme", Domains: []string{"acme.example"}}, {Name: "other"},
			}
	}
	routes, tenants := given()
	want := version(t, routes, tenants, to)
	require.Regexp(t, `^[0-9a-f]{16}$`, want)
	for range 20 { // maps have no order
		again, owners := given()
		require.Equal(t, want, version(t, again, owners, to))
	}
	seen := map[string]string{want: "nothing"}
	changed := func(name string, change func(r []config.Route, t []config.Tenant) ([]config.Route, []config.Tenant)) {
		routes, tenants := change(given())
		got := version(t, routes, tenants, to)
		require.NotContains(t, seen, got, "%s, and %s", name, seen[got])
		seen[got] = name
	}
	type routed = []config.Route
	type owned = []config.Tenant
	changed("order", func(r routed, t owned) (routed, owned) { r[0], r[1] = r[1], r[0]; return r, t })
	changed("fewer", func(r routed, t owned) (routed, owned) { return r[:1], t })
	changed("name", func(r routed, t owned) (routed, owned) { r[0].Name = "x"; return r, t })
	changed("hold", func(r routed, t owned) (routed, owned) { r[0].Hold = true; return r, t })
	changed("to", func(r routed, t owned) (routed, owned) { r[0].To = []string{"b", "a"}; return r, t })
	changed("header", func(r routed, t owned) (routed, owned) { r[0].When.Header["x-a"] = "2"; return r, t })
	changed("domain", func(r routed, t owned) (routed, owned) { t[0].Domains = nil; return r, t })
	for name, other := range map[string][]config.Destination{
		"no destination": nil, "tenant of one": {{Name: "a", Tenants: []string{"other"}}, to[1]}, "name of one": {to[0], {Name: "c"}},
	} {
		got := version(t, routes, tenants, other)
		require.NotContains(t, seen, got, name)
		seen[got] = name
	}
	require.Equal(t, want, version(t, routes, tenants, []config.Destination{to[0], {Name: "b", URL: "https://c.example"}}),
		"where a destination is does not change where mail goes")
	hold, err := rules.Of(&config.File{Routes: routes, Tenants: tenants, Destinations: to, Unmatched: config.UnmatchedHold})
	require.NoError(t, err)
	require.NotContains(t, seen, hold.Version())
	note, err := rules.Of(&config.File{Routes: routes, Tenants: tenants, Destinations: to, Unmatched: config.UnmatchedNote})
	require.NoError(t, err)
	require.Equal(t, want, note.Version())
	changed("case", func(r routed, t owned) (routed, owned) { t[0].CaseSensitive = true; return r, t })
	changed("owner", func(r routed, t owned) (routed, owned) { t[1].Name = "x"; return r, t })
	for i := range reflect.TypeFor[config.When]().NumField() {
		field := reflect.TypeFor[config.When]().Field(i)
		if field.Type.Kind() != reflect.String {
			continue
		}
		changed("when "+field.Name, func(r routed, t owned) (routed, owned) {
			reflect.ValueOf(&r[1].When).Elem().Field(i).SetString("x")
			return r, t
		})
	}
	for i := range reflect.TypeFor[config.WhenAuth]().NumField() {
		changed("when auth "+reflect.TypeFor[config.WhenAuth]().Field(i).Name, func(r routed, t owned) (routed, owned) {
			reflect.ValueOf(&r[1].When.Auth).Elem().Field(i).SetString("x")
			return r, t
		})
	}
	// Fails when a field is added: it must be part of the version.
	require.Equal(t, 4, reflect.TypeFor[config.Route]().NumField())
	require.Equal(t, 10, reflect.TypeFor[config.When]().NumField())
	require.Equal(t, 3, reflect.TypeFor[config.Tenant]().NumField())
}

// version returns the version of rules.
func version(t *testing.T, routes []config.Route, tenants []config.Tenant, destinations []config.Destination) string {
	t.Helper()
	r, err := rules.New(routes, tenants, destinations)
	require.NoError(t, err)
	return r.Version()
}
