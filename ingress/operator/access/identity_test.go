package access

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoleNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Role{
		"viewer": Viewer, "operator": Operator, "admin": Admin, "none": NoRole, "": NoRole, "Admin": NoRole, "root": NoRole,
	} {
		require.Equal(t, want, ParseRole(name), name)
	}
	require.Equal(t, "none", Role(-1).String())
	require.Equal(t, "admin", Role(9).String())
}

func TestRolesByTenant(t *testing.T) {
	t.Parallel()
	who := Identity{Roles: map[string]Role{Everywhere: Viewer, "a": Admin, "b": Operator, "c": NoRole}}
	require.Equal(t, Admin, who.In("a"))
	require.Equal(t, Viewer, who.In("c"))
	require.Equal(t, Viewer, who.In("other"))
	require.Equal(t, Admin, who.Best())
	tenants, all := who.Tenants(Operator)
	require.Equal(t, []string{"a", "b"}, tenants)
	require.False(t, all)
	tenants, all = who.Tenants(Viewer)
	require.Nil(t, tenants)
	require.True(t, all)
	// No tenant is not every tenant.
	tenants, all = Identity{}.Tenants(Viewer)
	require.NotNil(t, tenants)
	require.Empty(t, tenants)
	require.False(t, all)
	require.Equal(t, NoRole, Identity{}.Best())
	require.Equal(t, NoRole, From(t.Context()).Best())
	require.Equal(t, who, From(With(t.Context(), who)))
}

func TestPermits(t *testing.T) {
	t.Parallel()
	unknown, somewhere := Identity{}, Identity{Roles: map[string]Role{"a": Operator}}
	everywhere := Identity{Roles: map[string]Role{Everywhere: Operator}}
	for _, row := range []struct {
		route                          Route
		unknown, somewhere, everywhere bool
	}{
		{Route{Least: Viewer}, false, true, true},
		{Route{Least: Admin}, false, false, false},
		{Route{Least: Operator, Scope: EveryTenant}, false, false, true},
		{Route{Auth: Public}, true, true, true},
		{Route{}, false, false, false}, // the zero Route
	} {
		require.Equal(t, row.unknown, row.route.Permits(unknown), row)
		require.Equal(t, row.somewhere, row.route.Permits(somewhere), row)
		require.Equal(t, row.everywhere, row.route.Permits(everywhere), row)
	}
}
