package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// round fills the limiter and ends everything in flight after took.
func round(l *limiter, clock *time.Time, took time.Duration, failed bool) int {
	n := 0
	for l.tryAcquire(mostStarts) {
		n++
	}
	*clock = clock.Add(took)
	for range n {
		l.release(took, failed, *clock)
	}
	return n
}

func TestLimiterFollowsLatency(t *testing.T) {
	t.Parallel()
	l, clock := newLimiter(mostStarts), time.Unix(1_000_000, 0)
	require.Equal(t, firstStarts, round(l, &clock, 5*time.Millisecond, false))
	for range 100 {
		round(l, &clock, 5*time.Millisecond, false)
	}
	require.Equal(t, mostStarts, round(l, &clock, 5*time.Millisecond, false), "it grows to the bound and not over it")

	// Each slow round lowers it once, whatever was in flight together.
	before := round(l, &clock, 500*time.Millisecond, false)
	require.InDelta(t, float64(before)*0.8, l.limit, 1)
	for range 100 {
		round(l, &clock, 500*time.Millisecond, false)
	}
	require.Equal(t, leastStarts, round(l, &clock, 500*time.Millisecond, false), "it never stops altogether")

	for range 300 {
		round(l, &clock, 5*time.Millisecond, false)
	}
	require.Equal(t, mostStarts, round(l, &clock, 5*time.Millisecond, false), "it recovers")
}

func TestLimiterKnowsASlowNetwork(t *testing.T) {
	t.Parallel()
	l, clock := newLimiter(mostStarts), time.Unix(1_000_000, 0)
	for range 100 {
		round(l, &clock, 80*time.Millisecond, false)
	}
	require.Equal(t, mostStarts, round(l, &clock, 80*time.Millisecond, false), "80 ms are what a start takes there at best")
}

func TestLimiterHalvesOnFailure(t *testing.T) {
	t.Parallel()
	l, clock := newLimiter(mostStarts), time.Unix(1_000_000, 0)
	require.Equal(t, 4, round(l, &clock, time.Second, true))
	require.Equal(t, 2, round(l, &clock, time.Second, true))
	require.Equal(t, 1, round(l, &clock, time.Second, true))
	require.Equal(t, 1, round(l, &clock, time.Second, true))
}

func TestLimiterDoesNotGrowUnused(t *testing.T) {
	t.Parallel()
	l, clock := newLimiter(mostStarts), time.Unix(1_000_000, 0)
	for range 1000 {
		require.True(t, l.tryAcquire(mostStarts))
		l.release(time.Millisecond, false, clock)
	}
	require.InDelta(t, firstStarts, l.limit, 0)
}

func TestLimiterHonoursAskedBound(t *testing.T) {
	t.Parallel()
	l := newLimiter(mostStarts)
	require.True(t, l.tryAcquire(1))
	require.False(t, l.tryAcquire(1))
	l.cancel()
	require.True(t, l.tryAcquire(1))
}

// TestLimiterStartsAnew: what was in flight before an outage says nothing of what
// Temporal takes after it.
func TestLimiterStartsAnew(t *testing.T) {
	t.Parallel()
	l, clock := newLimiter(mostStarts), time.Unix(1_000_000, 0)
	for range 100 {
		round(l, &clock, 5*time.Millisecond, false)
	}
	for l.tryAcquire(mostStarts) { // all of these began before
	}
	l.restart(clock)
	clock = clock.Add(time.Millisecond)
	for range mostStarts {
		l.release(5*time.Millisecond, false, clock)
	}
	require.Equal(t, leastStarts, round(l, &clock, 5*time.Millisecond, false))
	before := leastStarts
	for range 10 {
		n := round(l, &clock, 5*time.Millisecond, false)
		require.LessOrEqual(t, n, before+1, "one more in each round")
		before = n
	}
	require.Greater(t, before, leastStarts+3)
}

func TestLimiterHonoursTheConfiguration(t *testing.T) {
	t.Parallel()
	l, clock := newLimiter(2), time.Unix(1_000_000, 0)
	for range 100 {
		require.Equal(t, 2, round(l, &clock, 5*time.Millisecond, false))
	}
}
