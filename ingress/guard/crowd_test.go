package guard

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
)

// TestOneStrangerDoesNotFillTheDoor: its own places are bounded, others have theirs,
// and who has proved to be authentic is not bounded.
func TestOneStrangerDoesNotFillTheDoor(t *testing.T) {
	t.Parallel()
	throttle := NewThrottle(config.Throttle{Failures: 600, Per: time.Minute})
	proxies, err := NewProxies([]string{"10.0.0.0/8"})
	require.NoError(t, err)
	c := NewCrowd(throttle, proxies)
	other := netip.MustParseAddr("198.51.100.1")
	var leaves []func()
	for range MaxStrangers {
		leave, ok := c.Enter(stranger, start)
		require.True(t, ok)
		leaves = append(leaves, leave)
	}
	_, ok := c.Enter(stranger, start)
	require.False(t, ok)
	leave, ok := c.Enter(other, start)
	require.True(t, ok)
	leave()
	for _, free := range []string{"127.0.0.1", "10.1.2.3"} {
		for range 2 * MaxStrangers {
			_, ok := c.Enter(netip.MustParseAddr(free), start)
			require.True(t, ok, free)
		}
	}
	throttle.Good(stranger, start)
	_, ok = c.Enter(stranger, start)
	require.True(t, ok)
	for _, leave := range leaves {
		leave()
	}
	require.Empty(t, c.of)
}
