package accept

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"mailroom/ingress/breaker"
	"mailroom/shared/acceptance"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

// Timeout bounds Accept: with StallTimeout before it a request is answered in less than
// five seconds.
const Timeout = 3900 * time.Millisecond

// Bounds of the group commit.
const (
	flushers     = 2
	maxBatchRows = 256
	maxBatchSize = 4 << 20 // bytes of bodies; one more row may go over it
	acceptQueue  = 2048
	// flushTimeout ends a write early enough for Temporal to be asked, and for its
	// requests to be answered, within ackTimeout.
	flushTimeout = 1800 * time.Millisecond
	// After a write that found no database nobody waits for it any more but one
	// write in awayPause: who queued behind the first must have time left for Temporal.
	databaseFailures = 1
	awayPause        = time.Second
	// A batch of crowd rows shows that requests come faster than commits; for
	// crowdFor after it starts give way to them.
	crowd    = 4
	crowdFor = 50 * time.Millisecond
)

// Claims is the dispatcher, which starts the rows that the accepter has claimed for it. A
// reservation that is made ends with Submit or Cancel.
type Claims interface {
	Reserve() bool
	Cancel(n int)
	Submit(row postgres.Waiting, until time.Time)
	// SweepSoon reports rows that were committed without a claim.
	SweepSoon()
	// Yield asks starts to give way to accepting until then.
	Yield(until time.Time)
}

// Fallback makes an event durable without the database.
type Fallback interface {
	Start(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error)
}

// Deps is what an accepter needs; all but Now are required.
type Deps struct {
	Ledger   acceptance.Ledger
	Fallback Fallback
	Claims   Claims
	Logger   *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// Accepter makes events durable. Requests that wait at the same moment share one
// commit, so that the rate does not depend on how long a commit takes. What the
// database does not take goes to the fallback.
type Accepter struct {
	ledger   acceptance.Ledger
	fallback Fallback
	claims   Claims
	lease    time.Duration
	breaker  *breaker.Breaker
	now      func() time.Time

	queue   chan *waiter
	quit    chan struct{}
	running sync.WaitGroup
}

// waiter is one request that waits for its row.
type waiter struct {
	ctx    context.Context
	row    postgres.Acceptance
	answer chan answer // holds one, so that nobody waits for a request that left
}

type answer struct {
	accepted postgres.Accepted
	err      error
}

// New returns an accepter that claims rows for lease. It accepts nothing before Start.
func New(lease time.Duration, deps Deps) (*Accepter, error) {
	if deps.Ledger == nil || deps.Fallback == nil || deps.Claims == nil || deps.Logger == nil {
		return nil, errors.New("accept: a dependency is missing")
	}
	now := deps.Now
	if now == nil {
		now = time.Now
	}

	return &Accepter{
		ledger: deps.Ledger, fallback: deps.Fallback, claims: deps.Claims, lease: lease, now: now,
		breaker: breaker.New(breaker.Config{Name: "postgres", Failures: databaseFailures, Pause: awayPause}, deps.Logger),
		queue:   make(chan *waiter, acceptQueue), quit: make(chan struct{}),
	}, nil
}

// Start begins to write; Stop ends it once everything that waits is answered.
func (a *Accepter) Start() {
	for range flushers {
		a.running.Go(a.flushAll)
	}
}

// Stop must be called once, when no request can come any more.
func (a *Accepter) Stop() {
	close(a.quit)
	a.running.Wait()
}

// Accept waits until row is durable, or ctx is done. In the second case nothing is
// known of the row; a repeat finds out.
func (a *Accepter) Accept(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	accepted, err := a.insert(ctx, row)
	if !fault.Is(err, fault.StorageUnavailable) || ctx.Err() != nil {
		return accepted, err
	}
	// The row may have been committed all the same. Then the workflow finds it.
	carried, carryErr := a.fallback.Start(ctx, row)
	if carryErr != nil {
		return postgres.Accepted{}, fault.Wrap(fault.StorageUnavailable,
			"the event could not be stored", errors.Join(err, carryErr))
	}
	return carried, nil
}

// insert waits until row is in the database.
func (a *Accepter) insert(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	if a.breaker.State() == gobreaker.StateOpen {
		return postgres.Accepted{}, ErrNoDatabase
	}
	w := &waiter{ctx: ctx, row: row, answer: make(chan answer, 1)}
	select {
	case a.queue <- w:
	default:
		return postgres.Accepted{}, fault.New(fault.Overloaded, "too many events wait to be stored at the moment")
	}
	select {
	case got := <-w.answer:
		return got.accepted, got.err
	case <-ctx.Done():
		return postgres.Accepted{}, fault.Wrap(fault.StorageUnavailable, "the event could not be stored in time", ctx.Err())
	}
}

func (a *Accepter) flushAll() {
	for {
		select {
		case w := <-a.queue:
			a.flush(a.collect(w))

		case <-a.quit:
			for {
				select {
				case w := <-a.queue:
					a.flush(a.collect(w))
				default:
					return
				}
			}
		}
	}
}

// collect takes first and whoever else waits right now. Requests that left
// meanwhile are passed over: their senders try again.
func (a *Accepter) collect(first *waiter) []*waiter {
	batch := make([]*waiter, 0, 16)
	size := 0
	for w := first; ; {
		if w.ctx.Err() == nil {
			batch = append(batch, w)
			size += len(w.row.Body)
		}
		if len(batch) == maxBatchRows || size >= maxBatchSize {
			break
		}
		select {
		case w = <-a.queue:
			continue
		default:
		}
		break
	}
	if len(batch) >= crowd {
		a.claims.Yield(a.now().Add(crowdFor))
	}
	return batch
}

// ErrNoDatabase is returned in place of the database while it is known to be unavailable.
var ErrNoDatabase = fault.New(fault.StorageUnavailable, "the event could not be stored")

// flush writes one batch and answers everybody in it. When the batch is refused
// for what it holds, each row is tried alone, so that one cannot harm the others.
func (a *Accepter) flush(batch []*waiter) {
	if len(batch) == 0 {
		return
	}
	done, err := a.breaker.Allow()
	if err != nil {
		for _, w := range batch {
			w.answer <- answer{err: ErrNoDatabase}
		}
		return
	}
	err = a.write(batch)
	if fault.Is(err, fault.StorageUnavailable) {
		done(err)
	} else {
		done(nil)
	}
	if err == nil {
		return
	}
	f := fault.From(err)
	if len(batch) > 1 && (!f.Temporary || f.Code == fault.Internal) {
		a.takeApart(batch)
		return
	}
	for _, w := range batch {
		w.answer <- answer{err: err}
	}
}

// takeApart tries each row alone, for as long as the database is there and
// somebody waits for it.
func (a *Accepter) takeApart(batch []*waiter) {
	var gone error
	for _, w := range batch {
		if w.ctx.Err() != nil {
			continue
		}
		err := gone
		if err == nil {
			err = a.write([]*waiter{w})
		}
		if fault.Is(err, fault.StorageUnavailable) {
			gone = err
		}
		if err != nil {
			w.answer <- answer{err: err}
		}
	}
}

// write stores a batch and, when that succeeds, answers everybody in it.
func (a *Accepter) write(batch []*waiter) error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	rows := make([]postgres.Acceptance, len(batch))
	reserved := 0
	for i, w := range batch {
		rows[i] = w.row
		if rows[i].Claim = a.claims.Reserve(); rows[i].Claim {
			reserved++
		}
	}
	until := a.now().Add(a.lease)
	accepted, err := acceptance.Insert(ctx, a.ledger, rows, a.lease)
	if err != nil {
		a.claims.Cancel(reserved)
		return err
	}
	for i, w := range batch {
		w.answer <- answer{accepted: accepted[i]}
	}
	a.hand(rows, accepted, until)
	return nil
}

// hand gives the new rows to the starter. A row that turns out to be a duplicate
// has nothing to start.
func (a *Accepter) hand(rows []postgres.Acceptance, accepted []postgres.Accepted, until time.Time) {
	behind := false
	for i := range rows {
		fresh := accepted[i].Outcome != postgres.Duplicate
		switch {
		case rows[i].Claim && fresh:
			a.claims.Submit(accepted[i].Row, until)
		case rows[i].Claim:
			a.claims.Cancel(1)
		case fresh:
			behind = true
		}
	}
	if behind {
		a.claims.SweepSoon()
	}
}
