package operations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/operations"
)

// TestChoicesOfATenant: forms offer no name of another tenant.
func TestChoicesOfATenant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, operations.Choices{
		Tenants: []string{"default", "acme"}, Sources: []string{"mailparse", "postmark"}, Destinations: []string{"crm", "a b", "theirs"},
	}, b.Choices(nil))
	require.Equal(t, operations.Choices{
		Tenants: []string{"default"}, Sources: []string{"mailparse"}, Destinations: []string{"crm", "a b"},
	}, b.Choices([]string{"default"}))
	require.Equal(t, operations.Choices{}, b.Choices([]string{}))
}
