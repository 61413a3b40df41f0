package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pass lets n starts begin and end, one after the other, each gap after the one before.
func pass(t *tempo, clock *time.Time, n int, gap, took time.Duration) {
	for range n {
		t.waits(*clock)
		*clock = clock.Add(gap)
		t.began(*clock)
		t.finished(took, true, *clock)
	}
}

func TestRoomFollowsTheTempo(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1_000_000, 0)
	tests := map[string]struct {
		gap, took  time.Duration
		atOnce     int
		room, more int // from, to
	}{
		"fast":                  {time.Millisecond, 5 * time.Millisecond, 8, 1000, 2000},
		"never waited":          {0, 5 * time.Millisecond, 4, 1000, 2000},
		"slow starts":           {250 * time.Millisecond, time.Second, 4, 4, 4},
		"slower":                {time.Second, 2 * time.Second, 1, 1, 1},
		"slower than the lease": {4 * time.Second, 4 * time.Second, 1, 1, 1},
		"workers are slow":      {100 * time.Millisecond, 5 * time.Millisecond, 32, 14, 15},
	}
	for name, test := range tests {
		tempo := newTempo()
		pass(tempo, &clock, 100, test.gap, test.took)
		got := tempo.room(clock, test.atOnce)
		require.GreaterOrEqual(t, got, test.room, name)
		require.LessOrEqual(t, got, test.more, name)
	}
	tempo := newTempo()
	pass(tempo, &clock, 100, time.Millisecond, time.Millisecond)
	tempo.waits(clock)
	require.Equal(t, 1, tempo.room(clock.Add(time.Minute), 32), "nothing has been started for a minute")
}

func TestRateOfStarts(t *testing.T) {
	t.Parallel()
	clock, tempo := time.Unix(1_000_000, 0), newTempo()
	require.Zero(t, tempo.perSecond(clock))
	pass(tempo, &clock, 2000, 10*time.Millisecond, time.Millisecond)
	require.InDelta(t, 100, tempo.perSecond(clock), 0.5)
	require.InDelta(t, 50, tempo.perSecond(clock.Add(5*time.Second)), 0.5, "half of the time nothing was started")
	require.Zero(t, tempo.perSecond(clock.Add(11*time.Second)))
	for range 7 {
		tempo.finished(time.Millisecond, false, clock)
	}
	require.InDelta(t, 100, tempo.perSecond(clock), 0.5, "what fails is no start")
}
