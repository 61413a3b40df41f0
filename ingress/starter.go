package ingress

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.temporal.io/sdk/client"

	"mailroom/shared/postgres"
)

// Bounds of starting.
const (
	startQueue   = 256
	startTimeout = 3 * time.Second
	claimLease   = 5 * time.Second
	claimTimeout = 3 * time.Second
	sweepEvery   = time.Second
	// While accepting is crowded there is one start in flight and one in startPace.
	startPace = 50 * time.Millisecond
	recheck   = 5 * time.Millisecond
	// While Temporal is away one start in breakerPause tries whether it is back.
	breakerFailures = 3
	breakerPause    = time.Second
	// refusedPause is how long a row rests that Temporal refuses for what it says.
	refusedPause = 30 * time.Second
)

// Inbox hands out the rows that wait for their start. A claim ends by itself.
type Inbox interface {
	ClaimWaiting(ctx context.Context, limit int, lease time.Duration) ([]postgres.Waiting, error)
	MarkStarted(ctx context.Context, ids []int64) error
	ReleaseClaims(ctx context.Context, ids []int64, after time.Duration) error
	// CountAhead counts, up to about limit, the rows that were started lately and
	// that no worker has stored yet.
	CountAhead(ctx context.Context, limit int) (int, error)
}

// Workflows starts workflows; a client.Client is one.
type Workflows interface {
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
}

// claim is a row that is ours to start until its lease ends.
type claim struct {
	row   postgres.Waiting
	until time.Time
}

// starter starts the workflows of accepted rows: those of this process right after
// their commit while there is room, all others from the inbox, oldest first.
//
// A row is in one of three places: in the queue under a claim, in flight, or in the
// inbox for anybody. Losing a claim, or the process, only moves it to the third.
type starter struct {
	inbox     Inbox
	workflows Workflows
	metrics   *metrics
	logger    *slog.Logger
	now       func() time.Time
	crowded   func() bool // accepting needs the machine

	queue   chan claim
	places  slots // one for each reserved or queued row
	behind  atomic.Bool
	wake    chan struct{}
	limiter *limiter
	ahead   ahead
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	marks   *marker

	cancelRun context.CancelFunc
	loops     sync.WaitGroup
	inFlight  sync.WaitGroup
}

func newStarter(inbox Inbox, workflows Workflows, m *metrics, logger *slog.Logger, now func() time.Time) *starter {
	s := &starter{
		inbox: inbox, workflows: workflows, metrics: m, logger: logger, now: now,
		crowded: func() bool { return false },
		queue:   make(chan claim, startQueue), places: make(slots, startQueue), wake: make(chan struct{}, 1),
		limiter: newLimiter(), ahead: ahead{inbox: inbox}, marks: newMarker(inbox, logger),
	}
	s.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: "temporal", MaxRequests: 1, Timeout: breakerPause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if from == gobreaker.StateClosed || to == gobreaker.StateClosed { // not each try in between
				logger.Warn("temporal.breaker", slog.String("from", from.String()), slog.String("to", to.String()))
			}
			s.nudge()
		},
	})
	return s
}

// reserve keeps a place for a row that is about to be committed. There is none
// while older rows wait in the inbox, or Temporal is away: then the row waits too.
func (s *starter) reserve() bool {
	return !s.behind.Load() && s.breaker.State() == gobreaker.StateClosed && s.places.take()
}

// cancel gives n reserved places back.
func (s *starter) cancel(n int) {
	for range n {
		s.places.give()
	}
}

// submit uses a reserved place.
func (s *starter) submit(row postgres.Waiting, until time.Time) {
	s.queue <- claim{row: row, until: until} // never blocks: there is a place for it
}

// fallBehind says that rows were committed that nobody has claimed.
func (s *starter) fallBehind() {
	s.behind.Store(true)
	s.nudge()
}

func (s *starter) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *starter) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancelRun = cancel
	s.marks.start()
	s.loops.Go(func() { s.sweep(ctx) })
	s.loops.Go(func() { s.dispatch(ctx) })
}

// stop ends starting: starts in flight finish, within startTimeout, and the claims
// that are left go back to the inbox for others.
func (s *starter) stop() {
	s.cancelRun()
	s.loops.Wait()
	s.inFlight.Wait()
	s.marks.stop()
	s.release(s.drain(), 0)
}

// sweep claims what waits in the inbox: when it is told that something does, when
// there is room again, and from time to time for the rows of others.
func (s *starter) sweep(ctx context.Context) {
	for {
		full := s.claimSome(ctx)
		if full && ctx.Err() == nil {
			continue
		}
		timer := time.NewTimer(sweepEvery/2 + rand.N(sweepEvery)) //nolint:gosec // spreads the ingresses, hides nothing
		select {
		case <-s.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// claimSome claims as many rows as there is room for and reports whether there may
// be more for the room that is left.
func (s *starter) claimSome(ctx context.Context) bool {
	taken := s.takeRoom()
	if taken == 0 {
		return false
	}
	s.behind.Store(false) // before the look, so that a row committed during it counts
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	until := s.now().Add(claimLease)
	rows, err := s.inbox.ClaimWaiting(ctx, taken, claimLease)
	if err != nil {
		s.cancel(taken)
		s.behind.Store(true)
		if !errors.Is(ctx.Err(), context.Canceled) {
			s.logger.Warn("inbox.sweep", slog.Any("error", err))
		}
		return false
	}
	for _, row := range rows {
		s.submit(row, until)
	}
	s.cancel(taken - len(rows))
	if len(rows) < taken {
		return false
	}
	s.behind.Store(true)
	return true
}

// takeRoom reserves places for a claim: all that are free once half of them are,
// one to try with when Temporal may be back, none while it is away.
func (s *starter) takeRoom() int {
	room := startQueue - len(s.places)
	if room < startQueue/2 {
		return 0 // dispatch nudges when half of the queue is free
	}
	switch s.breaker.State() {
	case gobreaker.StateOpen:
		return 0
	case gobreaker.StateHalfOpen:
		room = min(room, 1)
	}
	taken := 0
	for taken < room && s.places.take() {
		taken++
	}
	return taken
}

// dispatch starts the queue's rows in their order, as many at once as the limiter
// and the acceptor leave.
func (s *starter) dispatch(ctx context.Context) {
	var last time.Time
	for {
		var c claim
		select {
		case c = <-s.queue:
			s.vacate()
		case <-ctx.Done():
			return
		}
		if !s.now().Before(c.until) { // somebody else may have it by now
			s.fallBehind()
			continue
		}
		if !s.admit(ctx, last) {
			s.release([]int64{c.row.Email.ID}, 0)
			return
		}
		done, err := s.breaker.Allow()
		if err != nil {
			s.limiter.cancel()
			s.release(append(s.drain(), c.row.Email.ID), breakerPause)
			continue
		}
		last = s.now()
		s.ahead.started()
		s.inFlight.Go(func() { s.begin(c.row, done) })
	}
}

// vacate gives the place of a row back that has left the queue.
func (s *starter) vacate() {
	s.places.give()
	if len(s.places) == startQueue/2 {
		s.nudge()
	}
}

// drain empties the queue and gives the ids of what was in it.
func (s *starter) drain() []int64 {
	var ids []int64
	for {
		select {
		case c := <-s.queue:
			s.vacate()
			ids = append(ids, c.row.Email.ID)
		default:
			return ids
		}
	}
}

// release gives claims back to the inbox. Where that fails they end by themselves.
func (s *starter) release(ids []int64, after time.Duration) {
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	if err := s.inbox.ReleaseClaims(ctx, ids, after); err != nil {
		s.logger.Warn("inbox.release", slog.Int("rows", len(ids)), slog.Any("error", err))
	}
	s.behind.Store(true)
}

// admit waits until the workers keep up and there is a place in flight; while
// accepting is crowded there is only one, and only now and then. It is false when
// ctx is done.
func (s *starter) admit(ctx context.Context, last time.Time) bool {
	for {
		switch {
		case !s.ahead.allow(ctx, s.now(), s.limiter.taken()+int(s.marks.waiting.Load())):
		case !s.crowded():
			if s.limiter.tryAcquire(mostStarts) {
				return true
			}
		case s.now().Sub(last) >= startPace && s.limiter.tryAcquire(1):
			return true
		}
		select {
		case <-s.limiter.freed:
		case <-time.After(recheck):
		case <-ctx.Done():
			return false
		}
	}
}
