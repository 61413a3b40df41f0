package stack

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFreePortsDiffer: stacks that are started at the same time get different
// ports, also while none of them listens yet.
func TestFreePortsDiffer(t *testing.T) {
	t.Parallel()
	sets, failures := make([]Ports, 40), make([]error, 40)
	var group sync.WaitGroup
	for i := range sets {
		group.Go(func() {
			sets[i], failures[i] = FreePorts()
		})
	}
	group.Wait()
	seen := map[int]bool{}
	for i, ports := range sets {
		require.NoError(t, failures[i])
		for _, port := range ports.each() {
			require.False(t, seen[*port])
			seen[*port] = true
		}
	}
}
