package operator

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/access"
)

// TestReadyDetailsAreForOperators: on their listener the route asks for the role in
// every tenant.
func TestReadyDetailsAreForOperators(t *testing.T) {
	t.Parallel()
	route := readyRoutes(http.NotFound)[0]
	for role, may := range map[access.Role]bool{access.NoRole: false, access.Viewer: true} {
		require.Equal(t, may, route.Permits(access.Identity{Roles: map[string]access.Role{access.Everywhere: role}}), "%v", role)
	}
	require.False(t, route.Permits(access.Identity{Roles: map[string]access.Role{"acme": access.Admin}}), "what waits is of all tenants")
}
