package ingress

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"mailroom/shared/config"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

// Bounds of starting. A process that is killed leaves claims; another one starts
// their rows after claimLease and at most sweepEvery, together less than five
// seconds.
const (
	startQueue   = 256 // rows of either lane
	startTimeout = 2500 * time.Millisecond
	claimLease   = 3 * time.Second
	claimTimeout = time.Second
	sweepEvery   = time.Second // at most; half of it at least
	// While accepting is crowded there is one start in flight and one in startPace.
	startPace = 50 * time.Millisecond
	// While Temporal is away one start in breakerPause tries whether it is back.
	breakerFailures = 3
	breakerPause    = time.Second
	failedPause     = 3 * breakerPause
	failedSpread    = 5 * time.Second
)

// Inbox hands out the rows that wait for their start. A claim ends by itself.
type Inbox interface {
	ClaimWaiting(ctx context.Context, limit int, lease time.Duration) ([]postgres.Waiting, error)
	MarkStarted(ctx context.Context, ids []int64) error
	ReleaseClaims(ctx context.Context, ids []int64, after time.Duration) error
	// RefuseStart shows that the workflow of a row cannot be started, and keeps the row
	// from being claimed for a while or, where it is final, until a person retries it.
	RefuseStart(ctx context.Context, r postgres.Refusal) error
	// ClearRefusal takes that back.
	ClearRefusal(ctx context.Context, id int64) error
	// CountAhead counts the rows that were started lately and that no worker has
	// stored yet, among the oldest limit rows and ids.
	CountAhead(ctx context.Context, limit int, ids []int64) (int, error)
}

// Workflows starts workflows; a client.Client is one.
type Workflows interface {
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
}

// starter starts the workflows of accepted rows: those of this process right after
// their commit while there is room, all others from the inbox, oldest first.
//
// A row is in one of three places: in a lane under a claim, in flight, or in the
// inbox for anybody. Losing a claim, or the process, only moves it to the third.
// No more rows are claimed than can be started before their claims end, at the
// pace of the moment.
type starter struct {
	inbox       Inbox
	workflows   Workflows
	reader      temporal.Describer
	memos       converter.DataConverter
	refusedRows *refusedRows
	metrics     *metrics
	logger      *slog.Logger
	now         func() time.Time
	crowded     func() bool // accepting needs the machine

	lanes   *lanes
	places  slots // one for each reserved or queued row of the fresh lane
	behind  atomic.Bool
	wake    chan struct{}
	blind   bool // the last sweep failed; the sweeper's
	limiter *limiter
	tempo   *tempo
	ahead   ahead
	lately  *lately
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	marks   *marker

	mu     sync.Mutex
	failed []int64 // to be given back by the next sweep

	cancelRun context.CancelFunc
	loops     sync.WaitGroup
	inFlight  sync.WaitGroup
}

// newStarter makes a starter; zero bounds are mostStarts and mostAhead. reader and memos
// look at a workflow that has the ID of a row already.
func newStarter(bounds config.Starts, inbox Inbox, workflows Workflows, reader temporal.Describer, memos converter.DataConverter,
	m *metrics, logger *slog.Logger, now func() time.Time,
) *starter {
	if bounds.InFlight <= 0 {
		bounds.InFlight = mostStarts
	}
	if bounds.Ahead == 0 {
		bounds.Ahead = mostAhead
	}
	recent := newLately()
	s := &starter{
		inbox: inbox, workflows: workflows, reader: reader, memos: memos, refusedRows: newRefusedRows(), metrics: m, logger: logger, now: now,
		crowded: func() bool { return false },
		lanes:   newLanes(), places: make(slots, startQueue), wake: make(chan struct{}, 1),
		limiter: newLimiter(bounds.InFlight), tempo: newTempo(), lately: recent,
		ahead: ahead{inbox: inbox, lately: recent, most: bounds.Ahead}, marks: newMarker(inbox, logger),
	}
	s.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: "temporal", MaxRequests: 1, Timeout: breakerPause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				s.limiter.restart(s.now())
			}
			if from == gobreaker.StateClosed || to == gobreaker.StateClosed { // not each try in between
				logger.Warn("temporal.breaker", slog.String("from", from.String()), slog.String("to", to.String()))
			}
			s.nudge()
		},
	})
	return s
}

// stats are how many starts per second there were lately, how many are under way,
// and how many may be.
func (s *starter) stats() (perSecond float64, inFlight, limit int) {
	inFlight, limit = s.limiter.state()
	return s.tempo.perSecond(s.now()), inFlight, limit
}

// reserve keeps a place for a row that is about to be committed. There is none
// while Temporal is away, or for more rows than will soon be started; while older
// rows wait in the inbox these are few. A row without a place waits in the inbox.
func (s *starter) reserve() bool {
	inFlight, limit := s.limiter.state()
	switch s.breaker.State() {
	case gobreaker.StateOpen:
		return false
	case gobreaker.StateHalfOpen: // new mail may be what tries
		return inFlight == 0 && len(s.places) == 0 && s.places.take()
	}
	room := s.tempo.room
	if s.behind.Load() {
		room = s.tempo.freshRoom
	}
	return len(s.places) < room(s.now(), limit) && s.places.take()
}

// cancel gives n reserved places back.
func (s *starter) cancel(n int) {
	for range n {
		s.places.give()
	}
}

// submit uses a reserved place.
func (s *starter) submit(row postgres.Waiting, until time.Time) {
	s.lanes.put(claim{row: row, until: until, fresh: true})
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
	s.release(append(s.drain(), s.takeBack()...), 0)
}

// dispatch starts the rows of the lanes in their turn, as many at once as the
// limiter, the workers and the acceptor leave. Whose turn it is, is decided last.
func (s *starter) dispatch(ctx context.Context) {
	var last time.Time
	for s.lanes.wait(ctx) {
		s.tempo.waits(s.now())
		if !s.admit(ctx, last) {
			return
		}
		s.tempo.began(s.now())
		c, ok := s.next()
		if !ok {
			s.limiter.cancel()
			continue
		}
		done, err := s.breaker.Allow()
		if err != nil {
			s.limiter.cancel()
			s.release(append(s.drain(), c.row.Email.ID), breakerPause)
			continue
		}
		last = s.now()
		s.ahead.started()
		s.lately.add(c.row.Email.ID, last)
		s.inFlight.Go(func() { s.begin(c.row, done) })
	}
}

// next takes the next claim out that has not ended, and asks for more when the
// inbox has them and there is room.
func (s *starter) next() (claim, bool) {
	for {
		c, ok := s.take()
		if s.behind.Load() && s.oldRoom() > 0 {
			s.nudge()
		}
		if !ok || s.now().Before(c.until) {
			return c, ok
		}
		s.fallBehind() // somebody else may have it by now
	}
}

// take takes the next claim out of the lanes and gives its place back.
func (s *starter) take() (claim, bool) {
	c, ok := s.lanes.next()
	if ok && c.fresh {
		s.places.give()
	}
	return c, ok
}

// drain empties the lanes and gives the ids of what was in them.
func (s *starter) drain() []int64 {
	var ids []int64
	for {
		c, ok := s.take()
		if !ok {
			return ids
		}
		ids = append(ids, c.row.Email.ID)
	}
}

// admit waits until the workers keep up and there is a place in flight, which it
// takes. It is false when ctx is done.
func (s *starter) admit(ctx context.Context, last time.Time) bool {
	for {
		admitted, again := s.tryAdmit(ctx, last)
		if admitted {
			return true
		}
		var due <-chan time.Time
		if again > 0 {
			due = time.After(again)
		}
		select {
		case <-s.limiter.freed:
		case <-due:
		case <-ctx.Done():
			return false
		}
	}
}

// tryAdmit gives what admit waits for: again, or a start that ends where again is 0.
// While accepting is crowded there is only one start in flight, and only now and then.
func (s *starter) tryAdmit(ctx context.Context, last time.Time) (admitted bool, again time.Duration) {
	if again := s.ahead.allow(ctx, s.now()); again > 0 {
		return false, again
	}
	if !s.crowded() {
		return s.limiter.tryAcquire(s.limiter.most), 0
	}
	if rest := startPace - s.now().Sub(last); rest > 0 {
		return false, rest
	}
	return s.limiter.tryAcquire(1), startPace
}
