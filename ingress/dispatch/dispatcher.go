package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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
	queueMost    = 256 // rows of either lane
	startTimeout = 2500 * time.Millisecond
	claimTimeout = time.Second
	sweepEvery   = time.Second // at most; half of it at least
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

// Deps is what a dispatcher needs; all are required.
type Deps struct {
	Inbox     Inbox
	Workflows Workflows
	Memos     converter.DataConverter // reads the memos of workflows
	Registry  prometheus.Registerer
	Logger    *slog.Logger
}

func (d Deps) validate() error {
	if d.Inbox == nil || d.Workflows == nil || d.Memos == nil || d.Registry == nil || d.Logger == nil {
		return errors.New("dispatch: a dependency is missing")
	}
	return nil
}

// Dispatcher starts the workflows of accepted rows: those of this process right after
// their commit while there is room, all others from the inbox, oldest first.
type Dispatcher struct {
	metrics *metrics
	logger  *slog.Logger
	now     func() time.Time

	queue    *claimQueue
	sweeper  *sweeper
	pacer    *pacer
	recent   *recentStarts
	breaker  *breaker.Breaker
	starter  emailStarter
	marks    *markBuffer
	refusals *refusals

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

	recent, queue, marks := newRecentStarts(), newClaimQueue(), newMarkBuffer(deps.Inbox, deps.Logger)
	pace := newPacer(bounds.InFlight, bounds.Ahead, deps.Inbox, recent, time.Now)
	sweeps := &sweeper{
		inbox: deps.Inbox, queue: queue, pacer: pace, recent: recent, marks: marks,
		logger: deps.Logger, now: time.Now, wake: make(chan struct{}, 1),
	}
	sweeps.breaker = breaker.New(breaker.Config{
		Name: "temporal", Failures: breakerFailures, Pause: breakerPause,
		OnChange: func(to gobreaker.State) {
			if to == gobreaker.StateOpen {
				pace.restart()
			}
			sweeps.wakeUp()
		},
	}, deps.Logger)

	numbers, err := newMetrics(deps.Registry, pace)
	if err != nil {
		return nil, fmt.Errorf("dispatch: %w", err)
	}
	return &Dispatcher{
		metrics: numbers, logger: deps.Logger, now: time.Now,
		queue: queue, sweeper: sweeps, pacer: pace, recent: recent, breaker: sweeps.breaker,
		starter: emailStarter{workflows: deps.Workflows, memos: deps.Memos}, marks: marks,
		refusals: &refusals{inbox: deps.Inbox, sweeper: sweeps, logger: deps.Logger, counts: newRefusalCounts()},
	}, nil
}

// PerSecond returns how many starts per second there were lately.
func (d *Dispatcher) PerSecond() float64 { return d.pacer.rate() }

// Yield makes starts give way to accepting until then.
func (d *Dispatcher) Yield(until time.Time) { d.pacer.yield(until) }

// Reserve keeps a place for a row that is about to be committed. It is false while
// Temporal is unavailable, and for more rows than will soon be started; while older rows
// wait in the inbox these are few. A row without a place waits in the inbox.
func (d *Dispatcher) Reserve() bool {
	switch d.breaker.State() {
	case gobreaker.StateOpen:
		return false
	case gobreaker.StateHalfOpen: // new mail may be what tries
		inFlight, _ := d.pacer.state()
		return inFlight == 0 && d.queue.reserve(1)
	}

	if d.sweeper.behind.Load() {
		return d.queue.reserve(d.pacer.freshRoom())
	}
	return d.queue.reserve(d.pacer.room())
}

// Cancel returns n reserved places.
func (d *Dispatcher) Cancel(n int) { d.queue.cancel(n) }

// Submit uses a reserved place: row is claimed until then.
func (d *Dispatcher) Submit(row postgres.Waiting, until time.Time) {
	d.queue.put(claim{row: row, until: until, fresh: true})
}

// SweepSoon reports that rows were committed which no process has claimed.
func (d *Dispatcher) SweepSoon() { d.sweeper.sweepSoon() }

// Start begins to start rows; Stop ends it.
func (d *Dispatcher) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancelRun = cancel
	d.marks.start()
	d.loops.Go(func() { d.sweeper.run(ctx) })
	d.loops.Go(func() { d.startRows(ctx) })
}

// Stop ends starting: starts in flight finish, within startTimeout, and the claims
// that are left are released for others.
func (d *Dispatcher) Stop() {
	d.cancelRun()
	d.loops.Wait()
	d.inFlight.Wait()
	d.marks.stop()
	d.sweeper.releaseClaims(append(d.queue.drain(), d.sweeper.takeFailed()...), 0)
}

// startRows starts the rows of the queue in their turn, at the pace of the pacer. Which
// row is next is decided last, when its start may begin.
func (d *Dispatcher) startRows(ctx context.Context) {
	for d.queue.wait(ctx) {
		if !d.pacer.await(ctx) {
			return
		}

		c, ok := d.nextClaim()
		if !ok {
			d.pacer.cancel()
			continue
		}
		done, err := d.breaker.Allow()
		if err != nil {
			d.pacer.cancel()
			d.sweeper.releaseClaims(append(d.queue.drain(), c.row.Email.ID), breakerPause)
			continue
		}

		d.pacer.begin(c.row.Email.ID)
		d.inFlight.Go(func() { d.startRow(c.row, done) })
	}
}

// nextClaim removes and returns the next claim that has not ended, and wakes the sweeper
// when the inbox has rows and there is room for them.
func (d *Dispatcher) nextClaim() (claim, bool) {
	for {
		c, ok := d.queue.pop()
		if d.sweeper.behind.Load() && d.sweeper.room() > 0 {
			d.sweeper.wakeUp()
		}
		if !ok || d.now().Before(c.until) {
			return c, ok
		}
		d.SweepSoon() // another process may have it by now
	}
}
