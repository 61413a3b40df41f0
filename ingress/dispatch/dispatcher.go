package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"mailroom/ingress/breaker"
	"mailroom/shared/config"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

// Lease is how long a row is claimed. A process that is killed leaves claims; another
// one starts their rows after Lease and at most sweepEvery, together less than five
// seconds.
const Lease = 3 * time.Second

// Bounds of starting.
const (
	startQueue   = 256 // rows of either lane
	startTimeout = 2500 * time.Millisecond
	claimTimeout = time.Second
	sweepEvery   = time.Second // at most; half of it at least
	// While accepting needs the machine there is one start in flight and one in startPace.
	startPace = 50 * time.Millisecond
	// While Temporal is unavailable one start in breakerPause tries whether it recovered.
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

// Workflows starts workflows and describes those that exist; a client.Client is one.
type Workflows interface {
	temporal.Describer
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
}

// Deps is what a dispatcher needs; all but Now are required.
type Deps struct {
	Inbox     Inbox
	Workflows Workflows
	Memos     converter.DataConverter // reads the memos of workflows
	Registry  prometheus.Registerer
	Logger    *slog.Logger
	Now       func() time.Time // nil: time.Now
}

func (d Deps) validate() error {
	if d.Inbox == nil || d.Workflows == nil || d.Memos == nil || d.Registry == nil || d.Logger == nil {
		return errors.New("dispatch: a dependency is missing")
	}
	return nil
}

// Dispatcher starts the workflows of accepted rows: those of this process right after
// their commit while there is room, all others from the inbox, oldest first.
//
// A row is in one of three places: in a lane under a claim, in flight, or in the
// inbox for anybody. Losing a claim, or the process, only moves it to the third.
// No more rows are claimed than can be started before their claims end, at the
// pace of the moment.
type Dispatcher struct {
	inbox       Inbox
	workflows   Workflows
	memos       converter.DataConverter
	refusedRows *refusedRows
	metrics     *metrics
	logger      *slog.Logger
	now         func() time.Time
	// yieldUntil is until when starts give way to accepting, in Unix nanoseconds.
	yieldUntil atomic.Int64

	lanes   *lanes
	places  slots // one for each reserved or queued row of the fresh lane
	behind  atomic.Bool
	wake    chan struct{}
	blind   bool // the last sweep failed; the sweeper's
	limiter *limiter
	tempo   *tempo
	ahead   ahead
	lately  *lately
	breaker *breaker.Breaker
	marks   *markBuffer

	mu     sync.Mutex
	failed []int64 // to be given back by the next sweep

	cancelRun context.CancelFunc
	loops     sync.WaitGroup
	inFlight  sync.WaitGroup
}

// New returns a dispatcher that does nothing before Start; zero bounds are mostStarts
// and mostAhead.
func New(bounds config.Starts, deps Deps) (*Dispatcher, error) {
	if err := deps.validate(); err != nil {
		return nil, err
	}
	if bounds.InFlight <= 0 {
		bounds.InFlight = mostStarts
	}
	if bounds.Ahead == 0 {
		bounds.Ahead = mostAhead
	}
	now := deps.Now
	if now == nil {
		now = time.Now
	}

	recent := newLately()
	d := &Dispatcher{
		inbox: deps.Inbox, workflows: deps.Workflows, memos: deps.Memos, logger: deps.Logger, now: now,
		refusedRows: newRefusedRows(), lanes: newLanes(), places: make(slots, startQueue), wake: make(chan struct{}, 1),
		limiter: newLimiter(bounds.InFlight), tempo: newTempo(), lately: recent,
		ahead: ahead{inbox: deps.Inbox, lately: recent, most: bounds.Ahead}, marks: newMarkBuffer(deps.Inbox, deps.Logger),
	}
	d.breaker = breaker.New(breaker.Config{
		Name: "temporal", Failures: breakerFailures, Pause: breakerPause,
		OnChange: func(to gobreaker.State) {
			if to == gobreaker.StateOpen {
				d.limiter.restart(d.now())
			}
			d.nudge()
		},
	}, deps.Logger)

	var err error
	if d.metrics, err = newMetrics(deps.Registry, d); err != nil {
		return nil, fmt.Errorf("dispatch: %w", err)
	}
	return d, nil
}

// PerSecond returns how many starts per second there were lately.
func (d *Dispatcher) PerSecond() float64 { return d.tempo.perSecond(d.now()) }

// Yield makes starts give way to accepting until then.
func (d *Dispatcher) Yield(until time.Time) { d.yieldUntil.Store(until.UnixNano()) }

func (d *Dispatcher) yields() bool { return d.now().UnixNano() < d.yieldUntil.Load() }

// Reserve keeps a place for a row that is about to be committed, and is false if there is
// none: while Temporal is unavailable, or for more rows than will soon be started; while older
// rows wait in the inbox these are few. A row without a place waits in the inbox.
func (d *Dispatcher) Reserve() bool {
	inFlight, limit := d.limiter.state()
	switch d.breaker.State() {
	case gobreaker.StateOpen:
		return false
	case gobreaker.StateHalfOpen: // new mail may be what tries
		return inFlight == 0 && len(d.places) == 0 && d.places.take()
	}
	room := d.tempo.room
	if d.behind.Load() {
		room = d.tempo.freshRoom
	}
	return len(d.places) < room(d.now(), limit) && d.places.take()
}

// Cancel returns n reserved places.
func (d *Dispatcher) Cancel(n int) {
	for range n {
		d.places.give()
	}
}

// Submit uses a reserved place: row is claimed until then.
func (d *Dispatcher) Submit(row postgres.Waiting, until time.Time) {
	d.lanes.put(claim{row: row, until: until, fresh: true})
}

// SweepSoon reports that rows were committed which no process has claimed.
func (d *Dispatcher) SweepSoon() {
	d.behind.Store(true)
	d.nudge()
}

func (d *Dispatcher) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Start begins to start rows; Stop ends it.
func (d *Dispatcher) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancelRun = cancel
	d.marks.start()
	d.loops.Go(func() { d.sweep(ctx) })
	d.loops.Go(func() { d.dispatch(ctx) })
}

// Stop ends starting: starts in flight finish, within startTimeout, and the claims
// that are left go back to the inbox for others.
func (d *Dispatcher) Stop() {
	d.cancelRun()
	d.loops.Wait()
	d.inFlight.Wait()
	d.marks.stop()
	d.release(append(d.drain(), d.takeBack()...), 0)
}

// dispatch starts the rows of the lanes in their turn, as many at once as the
// limiter, the workers and the acceptor leave. Whose turn it is, is decided last.
func (d *Dispatcher) dispatch(ctx context.Context) {
	var last time.Time
	for d.lanes.wait(ctx) {
		d.tempo.waits(d.now())
		if !d.admit(ctx, last) {
			return
		}
		d.tempo.began(d.now())
		c, ok := d.next()
		if !ok {
			d.limiter.cancel()
			continue
		}
		done, err := d.breaker.Allow()
		if err != nil {
			d.limiter.cancel()
			d.release(append(d.drain(), c.row.Email.ID), breakerPause)
			continue
		}
		last = d.now()
		d.ahead.started()
		d.lately.add(c.row.Email.ID, last)
		d.inFlight.Go(func() { d.begin(c.row, done) })
	}
}

// next takes the next claim out that has not ended, and asks for more when the
// inbox has them and there is room.
func (d *Dispatcher) next() (claim, bool) {
	for {
		c, ok := d.take()
		if d.behind.Load() && d.oldRoom() > 0 {
			d.nudge()
		}
		if !ok || d.now().Before(c.until) {
			return c, ok
		}
		d.SweepSoon() // somebody else may have it by now
	}
}

// take takes the next claim out of the lanes and gives its place back.
func (d *Dispatcher) take() (claim, bool) {
	c, ok := d.lanes.next()
	if ok && c.fresh {
		d.places.give()
	}
	return c, ok
}

// drain empties the lanes and gives the ids of what was in them.
func (d *Dispatcher) drain() []int64 {
	var ids []int64
	for {
		c, ok := d.take()
		if !ok {
			return ids
		}
		ids = append(ids, c.row.Email.ID)
	}
}

// admit waits until the workers keep up and there is a place in flight, which it
// takes. It is false when ctx is done.
func (d *Dispatcher) admit(ctx context.Context, last time.Time) bool {
	for {
		admitted, again := d.tryAdmit(ctx, last)
		if admitted {
			return true
		}
		var due <-chan time.Time
		if again > 0 {
			due = time.After(again)
		}
		select {
		case <-d.limiter.freed:
		case <-due:
		case <-ctx.Done():
			return false
		}
	}
}

// tryAdmit gives what admit waits for: again, or a start that ends where again is 0.
// While accepting is crowded there is only one start in flight, and only now and then.
func (d *Dispatcher) tryAdmit(ctx context.Context, last time.Time) (admitted bool, again time.Duration) {
	if again := d.ahead.allow(ctx, d.now()); again > 0 {
		return false, again
	}
	if !d.yields() {
		return d.limiter.tryAcquire(d.limiter.most), 0
	}
	if rest := startPace - d.now().Sub(last); rest > 0 {
		return false, rest
	}
	return d.limiter.tryAcquire(1), startPace
}
