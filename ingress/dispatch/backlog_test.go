package dispatch

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/postgres"
)

// These tests run on the clock of a bubble: what takes seconds here takes none.

// stage is a Temporal that notes when each start came to it.
type stage struct {
	mu     sync.Mutex
	took   time.Duration // by each start
	outage bool
	began  map[string]time.Time
	order  []string
	now    int
	most   int // in flight together
}

func (g *stage) answer(ctx context.Context, id string) error {
	g.mu.Lock()
	took, outage := g.took, g.outage
	if _, again := g.began[id]; !again && !outage {
		g.began[id] = time.Now()
		g.order = append(g.order, id)
	}
	g.now++
	g.most = max(g.most, g.now)
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.now--
		g.mu.Unlock()
	}()
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return ctx.Err()
	}
	if outage {
		return serviceerror.NewUnavailable("away")
	}
	return nil
}

func (g *stage) set(change func(*stage)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

func (g *stage) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.order)
}

func (g *stage) peak() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most
}

// openStage returns a starter that runs, on a ledger with so many rows.
func openStage(t *testing.T, rows int, took time.Duration) (*Dispatcher, *ingresstest.Ledger, *stage, *ingresstest.Log) {
	t.Helper()
	ledger, g := &ingresstest.Ledger{}, &stage{took: took, began: map[string]time.Time{}}
	fill(ledger, rows)
	s, log := newTestDispatcher(t, ledger, &ingresstest.Workflows{Answer: g.answer})
	return s, ledger, g, log
}

// arrive accepts one row as the acceptor does.
func arrive(t *testing.T, s *Dispatcher, ledger *ingresstest.Ledger, id string) {
	t.Helper()
	row := ingresstest.RowOf(id)
	row.Claim = s.Reserve()
	until := time.Now().Add(Lease)
	got, err := ledger.Accept(t.Context(), []postgres.Acceptance{row}, Lease)
	require.NoError(t, err)
	if row.Claim {
		s.Submit(got[0].Row, until)
	} else {
		s.SweepSoon()
	}
}

// TestFreshMailPassesABacklog: new mail comes while thousands of rows wait.
func TestFreshMailPassesABacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const old, fresh = 6000, 100
		s, ledger, g, _ := openStage(t, old, 20*time.Millisecond)
		s.Start()
		arrived := map[string]time.Time{}
		<-time.After(time.Second)
		for i := range fresh {
			id := "fresh_" + strconv.Itoa(i)
			arrived[id] = time.Now()
			arrive(t, s, ledger, id)
			<-time.After(20 * time.Millisecond)
		}
		require.Less(t, g.count(), old, "the backlog still waits")
		ingresstest.Eventually(t, func() bool { return ledger.Started() == old+fresh }, "all are started")
		s.Stop()
		for id, at := range arrived {
			require.Less(t, g.began[id].Sub(at), time.Second, id)
		}
		place := map[string]int{}
		last := 0
		for i, id := range g.order {
			place[id] = i
			if n, err := strconv.Atoi(strings.TrimPrefix(id, "evt_")); err == nil {
				require.GreaterOrEqual(t, n, last-mostStarts, "old mail goes oldest first")
				last = max(last, n)
			}
		}
		require.Len(t, place, old+fresh, "each once")
		require.Equal(t, old+fresh, len(g.order))
	})
}

// TestFreshMailDoesNotStarveTheBacklog: more new mail than can be started.
func TestFreshMailDoesNotStarveTheBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const old = 3000
		s, ledger, g, _ := openStage(t, old, 100*time.Millisecond) // 320 a second at most
		s.Start()
		for i := range 2500 {
			arrive(t, s, ledger, "fresh_"+strconv.Itoa(i))
			<-time.After(2 * time.Millisecond)
		}
		g.mu.Lock()
		share := 0
		for _, id := range g.order {
			if strings.HasPrefix(id, "evt_") {
				share++
			}
		}
		total := len(g.order)
		g.mu.Unlock()
		require.Less(t, share, old)
		require.Greater(t, share, total*7/10)
		require.Less(t, share, total*8/10, "and new mail has its share")
		ingresstest.Eventually(t, func() bool { return ledger.Started() == old+2500 }, "all are started")
		s.Stop()
		require.Equal(t, ledger.Tally().Claimed, ledger.Count(func(r *ingresstest.Row) bool { return !r.Claim }), "no row is claimed twice")
	})
}

// TestNoStampede: after an outage starts begin with few, whatever there were before.
func TestNoStampede(t *testing.T) {
	t.Parallel()
	for _, outage := range []time.Duration{600 * time.Millisecond, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) { noStampede(t, outage) })
	}
}

func noStampede(t *testing.T, outage time.Duration) {
	t.Helper()
	const took = 20 * time.Millisecond
	s, ledger, g, _ := openStage(t, 5000, took)
	s.Start()
	ingresstest.Eventually(t, func() bool { _, limit := s.pacer.state(); return limit == mostStarts }, "starts are at their fastest")
	g.set(func(g *stage) { g.outage = true })
	<-time.After(outage / 2)
	g.set(func(g *stage) { g.most = 0 })
	<-time.After(outage / 2)
	require.LessOrEqual(t, g.peak(), 1, "while it is unavailable one start at a time tries")
	g.set(func(g *stage) { g.outage, g.order = false, nil })
	ingresstest.Eventually(t, func() bool { return g.count() > 0 }, "its recovery is found")
	// Additive increase: one more in each round.
	sum := 1 // the one that tried
	for round := range 10 {
		sum += round + 2
		<-time.After(took)
		require.LessOrEqual(t, g.count(), sum)
	}
	require.LessOrEqual(t, g.peak(), 12)
	require.GreaterOrEqual(t, g.count(), 10, "and it does grow")
	ingresstest.Eventually(t, func() bool { return ledger.Started() == 5000 }, "all are started")
	s.Stop()
}

// TestHungTemporal: while starts get no answer next to nothing is claimed.
func TestHungTemporal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ledger, g, _ := openStage(t, 500, 5*time.Millisecond)
		ledger.Set(func(l *ingresstest.Ledger) { l.Busy = true }) // nothing leaves the inbox
		g.set(func(g *stage) { g.took, g.outage = time.Hour, true })
		s.Start()
		<-time.After(time.Minute)
		require.LessOrEqual(t, ledger.Tally().Claims, 60/3)
		require.LessOrEqual(t, ledger.Tally().Claimed, 60+60/3)
		ledger.Set(func(l *ingresstest.Ledger) { l.Busy = false })
		g.set(func(g *stage) { g.took, g.outage = 5*time.Millisecond, false })
		back := time.Now()
		ingresstest.Eventually(t, func() bool { return ledger.Started() == 500 }, "all are started")
		// The start that still hangs fails, and its row rests as long as any may.
		rest := startTimeout + sweepEvery + failedPause + failedSpread + sweepEvery
		require.Less(t, time.Since(back), rest+time.Second)
		s.Stop()
	})
}

// TestSlowTemporal: claims are no more than can be started before they end.
func TestSlowTemporal(t *testing.T) {
	t.Parallel()
	for name, took := range map[string]time.Duration{"one second": time.Second, "two seconds": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const rows = 300
				s, ledger, g, _ := openStage(t, rows, took)
				s.Start()
				require.Eventually(t, func() bool { return ledger.Started() == rows }, 10*time.Minute, took, "all are started")
				s.Stop()
				require.LessOrEqual(t, ledger.Tally().Claimed, rows+queueMost/2, "but for the first guess no row is claimed twice")
				require.LessOrEqual(t, g.most, mostStarts)
			})
		})
	}
}

// TestSlowWorkers: what waits for workers is left in the inbox and not claimed
// again and again.
func TestSlowWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ledger, g, _ := openStage(t, 1000, 5*time.Millisecond)
		ledger.Set(func(l *ingresstest.Ledger) { l.Busy = true })
		s.Start()
		<-time.After(5 * time.Second)
		require.Equal(t, mostAhead, g.count())
		before := ledger.Tally()
		<-time.After(time.Minute)
		require.Equal(t, mostAhead, g.count())
		require.LessOrEqual(t, ledger.Tally().Claims-before.Claims, 2)
		require.LessOrEqual(t, ledger.Tally().Looks-before.Looks, int(time.Minute/countSlowest)+2)
		ledger.Set(func(l *ingresstest.Ledger) { l.Busy = false })
		back := time.Now()
		ingresstest.Eventually(t, func() bool { return ledger.Started() == 1000 }, "the rest follows")
		require.Less(t, time.Since(back), 3*time.Second)
		s.Stop()
	})
}

// TestKilledIngress: its claims are started by another one in less than five seconds.
func TestKilledIngress(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, Lease+sweepEvery, 4*time.Second)
	require.Less(t, startTimeout, Lease)
	synctest.Test(t, func(t *testing.T) {
		const rows = 200
		s, ledger, g, _ := openStage(t, rows, 5*time.Millisecond)
		_, err := ledger.ClaimWaiting(t.Context(), rows, Lease) // by a process that ends then
		require.NoError(t, err)
		killed := time.Now()
		s.Start()
		ingresstest.Eventually(t, func() bool { return g.count() == rows }, "all are started")
		require.Less(t, time.Since(killed), 5*time.Second)
		s.Stop()
	})
}

// TestDatabaseUnavailable: sweeps fail quietly and starts in flight end.
func TestDatabaseUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ledger, g, log := openStage(t, 50, 100*time.Millisecond)
		s.Start()
		ingresstest.Eventually(t, func() bool { return g.count() > firstStarts }, "starts are under way")
		ledger.Set(func(l *ingresstest.Ledger) {
			l.ClaimErr, l.MarkErr = ingresstest.ErrUnavailable, ingresstest.ErrUnavailable
		})
		<-time.After(time.Minute)
		require.Equal(t, 1, strings.Count(log.String(), `"inbox.mark"`))
		require.Equal(t, 1, strings.Count(log.String(), `"inbox.sweep"`))
		in, _ := s.pacer.state()
		require.Zero(t, in)
		ledger.Set(func(l *ingresstest.Ledger) { l.ClaimErr, l.MarkErr = nil, nil })
		ingresstest.Eventually(t, func() bool { return ledger.Started() == 50 }, "all are started")
		s.Stop()
		require.Len(t, g.order, 50)
		require.Equal(t, 1, strings.Count(log.String(), `"inbox.sweep_again"`))
	})
}

// TestUnknownOutcomeIsTriedAgain: an answer that was lost is asked for again, and
// what runs already is success.
func TestUnknownOutcomeIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := &ingresstest.Ledger{}
		fill(ledger, 3)
		var mu sync.Mutex
		tries := map[string]int{}
		s, _ := newTestDispatcher(t, ledger, &ingresstest.Workflows{Answer: func(_ context.Context, id string) error {
			mu.Lock()
			defer mu.Unlock()
			tries[id]++
			if tries[id] == 1 {
				return errors.New("the connection broke")
			}
			return serviceerror.NewWorkflowExecutionAlreadyStarted("it runs", "request", "run")
		}})
		s.Start()
		ingresstest.Eventually(t, func() bool { return ledger.Started() == 3 }, "all are started")
		s.Stop()
		require.Equal(t, map[string]int{"evt_0": 2, "evt_1": 2, "evt_2": 2}, tries)
	})
}

// TestStartedRowsAreNotStartedAgain: the claims of rows whose marks could not be
// written end, and the next sweep finds them.
func TestStartedRowsAreNotStartedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ledger, g, _ := openStage(t, 30, 5*time.Millisecond)
		ledger.Set(func(l *ingresstest.Ledger) { l.MarkErr = ingresstest.ErrUnavailable })
		workflows := s.starter.workflows.(*ingresstest.Workflows)
		s.Start()
		ingresstest.Eventually(t, func() bool { return g.count() == 30 }, "all are started")
		<-time.After(20 * time.Second)
		ledger.Set(func(l *ingresstest.Ledger) { l.MarkErr = nil })
		ingresstest.Eventually(t, func() bool { return ledger.Started() == 30 }, "all are marked")
		s.Stop()
		require.Len(t, workflows.IDs(), 30)
	})
}
