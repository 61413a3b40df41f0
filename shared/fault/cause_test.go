package fault_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
)

// Attempts store either a cause or a code, in one column.
func TestCauses(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range fault.Codes {
		seen[string(c)] = true
	}
	for _, c := range fault.Causes {
		require.NotEmpty(t, c.Sentence(), c)
		require.False(t, seen[string(c)], "%s is there twice", c)
		seen[string(c)] = true
	}
	require.Empty(t, fault.Cause(fault.DownstreamUnavailable).Sentence())
}
