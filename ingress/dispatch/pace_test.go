package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
)

// newTestPacer returns a pacer that no worker holds back, and its clock.
func newTestPacer(maxInFlight int) (*pacer, *time.Time) {
	clock := time.Unix(1_000_000, 0)
	return newPacer(maxInFlight, -1, nil, newRecentStarts(), func() time.Time { return clock }), &clock
}

func acquire(p *pacer) bool {
	acquired, _ := p.acquire()
	return acquired
}

// round starts as many rows as there are places for and ends them after took.
func round(p *pacer, clock *time.Time, took time.Duration, failed bool) int {
	n := 0
	for acquire(p) {
		n++
	}
	*clock = clock.Add(took)
	for range n {
		p.end(took, !failed, failed)
	}
	return n
}

func TestLimitFollowsLatency(t *testing.T) {
	t.Parallel()
	p, clock := newTestPacer(mostStarts)
	require.Equal(t, firstStarts, round(p, clock, 5*time.Millisecond, false))
	for range 100 {
		round(p, clock, 5*time.Millisecond, false)
	}
	require.Equal(t, mostStarts, round(p, clock, 5*time.Millisecond, false), "it grows to the bound and not over it")

	// Each slow round lowers it once, whatever was in flight together.
	before := round(p, clock, 500*time.Millisecond, false)
	require.InDelta(t, float64(before)*0.8, p.limit, 1)
	for range 100 {
		round(p, clock, 500*time.Millisecond, false)
	}
	require.Equal(t, leastStarts, round(p, clock, 500*time.Millisecond, false), "it never stops altogether")

	for range 300 {
		round(p, clock, 5*time.Millisecond, false)
	}
	require.Equal(t, mostStarts, round(p, clock, 5*time.Millisecond, false), "it recovers")
}

func TestLimitAllowsForASlowNetwork(t *testing.T) {
	t.Parallel()
	p, clock := newTestPacer(mostStarts)
	for range 100 {
		round(p, clock, 80*time.Millisecond, false)
	}
	require.Equal(t, mostStarts, round(p, clock, 80*time.Millisecond, false), "80 ms are what a start takes there at best")
}

func TestLimitHalvesOnFailure(t *testing.T) {
	t.Parallel()
	p, clock := newTestPacer(mostStarts)
	require.Equal(t, 4, round(p, clock, time.Second, true))
	require.Equal(t, 2, round(p, clock, time.Second, true))
	require.Equal(t, 1, round(p, clock, time.Second, true))
	require.Equal(t, 1, round(p, clock, time.Second, true))
}

func TestLimitDoesNotGrowUnused(t *testing.T) {
	t.Parallel()
	p, _ := newTestPacer(mostStarts)
	for range 1000 {
		require.True(t, acquire(p))
		p.end(time.Millisecond, true, false)
	}
	require.InDelta(t, firstStarts, p.limit, 0)
}

// TestYieldingStartsAreOneAtATime: while accepting needs the machine.
func TestYieldingStartsAreOneAtATime(t *testing.T) {
	t.Parallel()
	p, clock := newTestPacer(mostStarts)
	p.yield(clock.Add(time.Hour))
	require.True(t, acquire(p))
	p.begin(1)
	require.False(t, acquire(p), "there is one")
	p.cancel()
	acquired, again := p.acquire()
	require.False(t, acquired, "there was one just now")
	require.Equal(t, yieldPace, again)
	*clock = clock.Add(yieldPace)
	require.True(t, acquire(p))
	p.yield(*clock)
	require.True(t, acquire(p), "accepting has it no more")
}

// TestLimitStartsAnew: what was in flight before an outage says nothing of what
// Temporal takes after it.
func TestLimitStartsAnew(t *testing.T) {
	t.Parallel()
	p, clock := newTestPacer(mostStarts)
	for range 100 {
		round(p, clock, 5*time.Millisecond, false)
	}
	for acquire(p) { // all of these began before
	}
	p.restart()
	*clock = clock.Add(time.Millisecond)
	for range mostStarts {
		p.end(5*time.Millisecond, true, false)
	}
	require.Equal(t, leastStarts, round(p, clock, 5*time.Millisecond, false))
	before := leastStarts
	for range 10 {
		n := round(p, clock, 5*time.Millisecond, false)
		require.LessOrEqual(t, n, before+1, "one more in each round")
		before = n
	}
	require.Greater(t, before, leastStarts+3)
}

func TestLimitHonoursTheConfiguration(t *testing.T) {
	t.Parallel()
	p, clock := newTestPacer(2)
	for range 100 {
		require.Equal(t, 2, round(p, clock, 5*time.Millisecond, false))
	}
}

// pass lets n starts begin and end, one after the other, each gap after the one before.
func pass(p *pacer, clock *time.Time, n int, gap, took time.Duration) {
	for range n {
		p.waitingSince = *clock
		*clock = clock.Add(gap)
		acquire(p)
		p.end(took, true, false)
	}
}

func TestRoomFollowsThePace(t *testing.T) {
	t.Parallel()
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
		p, clock := newTestPacer(mostStarts)
		pass(p, clock, 100, test.gap, test.took)
		p.limit = float64(test.atOnce)
		require.GreaterOrEqual(t, p.room(), test.room, name)
		require.LessOrEqual(t, p.room(), test.more, name)
	}
	p, clock := newTestPacer(mostStarts)
	pass(p, clock, 100, time.Millisecond, time.Millisecond)
	p.waitingSince, p.limit = *clock, mostStarts
	*clock = clock.Add(time.Minute)
	require.Equal(t, 1, p.room(), "nothing has been started for a minute")
}

func TestRateOfStarts(t *testing.T) {
	t.Parallel()
	p, clock := newTestPacer(mostStarts)
	require.Zero(t, p.rate())
	pass(p, clock, 2000, 10*time.Millisecond, time.Millisecond)
	began := *clock
	require.InDelta(t, 100, p.rate(), 0.5)
	*clock = began.Add(5 * time.Second)
	require.InDelta(t, 50, p.rate(), 0.5, "half of the time nothing was started")
	*clock = began.Add(11 * time.Second)
	require.Zero(t, p.rate())
	*clock = began
	for range 7 {
		p.end(time.Millisecond, false, false)
	}
	require.InDelta(t, 100, p.rate(), 0.5, "what fails is no start")
}

// TestFreshStartsAreAhead: fresh rows far behind a backlog are counted.
func TestFreshStartsAreAhead(t *testing.T) {
	t.Parallel()
	clock, ledger := time.Unix(1_000_000, 0), &ingresstest.Ledger{Busy: true}
	fill(ledger, 500)
	p := newPacer(mostStarts, 10, ledger, newRecentStarts(), func() time.Time { return clock })
	a := &p.ahead
	for i := range 10 {
		require.Zero(t, a.wait(t.Context(), clock), i)
		p.begin(int64(491 + i))
	}
	require.Positive(t, a.wait(t.Context(), clock))
	clock = clock.Add(countEvery)
	require.Positive(t, a.wait(t.Context(), clock), "it has counted")
	ledger.Rows[0].Started = true
	ledger.Rows[495].Started = true // the same one in both ways
	clock = clock.Add(countSlowest)
	require.Positive(t, a.wait(t.Context(), clock))
	require.Equal(t, 11, a.counted)

	// Counts that find nothing new become rarer.
	looks := ledger.Tally().Looks
	for range 100 {
		clock = clock.Add(countEvery)
		require.Positive(t, a.wait(t.Context(), clock))
	}
	require.LessOrEqual(t, ledger.Tally().Looks-looks, 20)
	ledger.Busy = false
	for i := range ledger.Rows {
		ledger.Rows[i].Started = true
	}
	clock = clock.Add(countSlowest)
	require.Zero(t, a.wait(t.Context(), clock), "the workers have stored them")
	require.Equal(t, countEvery, a.every)
}

func TestAheadUnbounded(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{Busy: true}
	p := newPacer(mostStarts, -1, ledger, newRecentStarts(), time.Now)
	for range 1000 {
		require.Zero(t, p.ahead.wait(t.Context(), time.Now()))
		p.begin(1)
	}
	require.Zero(t, ledger.Tally().Looks)
}
