package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"mailroom/ingress/failpoint"
	"mailroom/ingress/mutant"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

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

// Ledger is where accepted events are written: all of a batch or nothing, in the
// order of the batch. It is safe to repeat.
type Ledger interface {
	Accept(ctx context.Context, batch []postgres.Acceptance, lease time.Duration) ([]postgres.Accepted, error)
}

// claims is the starter as the acceptor sees it. A reservation that is made ends
// with submit or cancel.
type claims interface {
	reserve() bool
	cancel(n int)
	submit(row postgres.Waiting, until time.Time)
	fallBehind()
}

// carrier makes an event durable without the database.
type carrier interface {
	carry(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error)
}

// acceptor makes events durable. Requests that wait at the same moment share one
// commit, so that the rate does not depend on how long a commit takes. What the
// database does not take goes to the carrier.
type acceptor struct {
	ledger  Ledger
	carrier carrier
	claims  claims
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	now     func() time.Time

	queue   chan *waiter
	quit    chan struct{}
	running sync.WaitGroup
	crowded atomic.Int64 // when a crowd was last seen, Unix nanoseconds
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

func newAcceptor(ledger Ledger, carrier carrier, claims claims, logger *slog.Logger, now func() time.Time) *acceptor {
	return &acceptor{
		ledger: ledger, carrier: carrier, claims: claims, now: now,
		breaker: newBreaker("postgres", databaseFailures, awayPause, logger),
		queue:   make(chan *waiter, acceptQueue), quit: make(chan struct{}),
	}
}

// errNoTime tells a breaker that a try had too little time to show anything.
var errNoTime = errors.New("the try had too little time")

// newBreaker opens after so many failures in a row and lets one try pass in each pause.
func newBreaker(name string, failures uint32, pause time.Duration, logger *slog.Logger) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: pause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNoTime) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			if from == gobreaker.StateClosed || to == gobreaker.StateClosed { // not each try in between
				logger.Warn("dependency.breaker", slog.String("dependency", name),
					slog.String("from", from.String()), slog.String("to", to.String()))
			}
		},
	})
}

// start begins to write; stop ends it once everything that waits is answered.
func (a *acceptor) start() {
	for range flushers {
		a.running.Go(a.flushAll)
	}
}

// stop must be called once, when no request can come any more.
func (a *acceptor) stop() {
	close(a.quit)
	a.running.Wait()
}

// accept waits until row is durable, or ctx is done. In the second case nothing is
// known of the row; a repeat finds out.
func (a *acceptor) accept(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	accepted, err := a.insert(ctx, row)
	if !fault.Is(err, fault.StorageUnavailable) || ctx.Err() != nil {
		return accepted, err
	}
	// The row may have been committed all the same. Then the workflow finds it.
	carried, carryErr := a.carrier.carry(ctx, row)
	if carryErr != nil {
		return postgres.Accepted{}, fault.Wrap(fault.StorageUnavailable,
			"the event could not be stored", errors.Join(err, carryErr))
	}
	return carried, nil
}

// insert waits until row is in the database.
func (a *acceptor) insert(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	if a.breaker.State() == gobreaker.StateOpen {
		return postgres.Accepted{}, errNoDatabase
	}
	w := &waiter{ctx: ctx, row: row, answer: make(chan answer, 1)}
	select {
	case a.queue <- w:
	default:
		return postgres.Accepted{}, fault.New(fault.Overloaded, "too many events wait to be stored at the moment")
	}
	if mutant.Is(mutant.AnsweredFirst) {
		return postgres.Accepted{Outcome: postgres.Inserted}, nil
	}
	select {
	case got := <-w.answer:
		return got.accepted, got.err
	case <-ctx.Done():
		return postgres.Accepted{}, fault.Wrap(fault.StorageUnavailable, "the event could not be stored in time", ctx.Err())
	}
}

// crowdedLately reports whether accepting needs the machine for itself.
func (a *acceptor) crowdedLately() bool {
	return a.now().UnixNano()-a.crowded.Load() < int64(crowdFor)
}

func (a *acceptor) flushAll() {
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
func (a *acceptor) collect(first *waiter) []*waiter {
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
		a.crowded.Store(a.now().UnixNano())
	}
	return batch
}

// errNoDatabase answers for the database while it is known to be away.
var errNoDatabase = fault.New(fault.StorageUnavailable, "the event could not be stored")

// flush writes one batch and answers everybody in it. When the batch is refused
// for what it holds, each row is tried alone, so that one cannot harm the others.
func (a *acceptor) flush(batch []*waiter) {
	if len(batch) == 0 {
		return
	}
	done, err := a.breaker.Allow()
	if err != nil {
		for _, w := range batch {
			w.answer <- answer{err: errNoDatabase}
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
func (a *acceptor) takeApart(batch []*waiter) {
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
func (a *acceptor) write(batch []*waiter) error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	rows := make([]postgres.Acceptance, len(batch))
	reserved := 0
	for i, w := range batch {
		rows[i] = w.row
		if rows[i].Claim = a.claims.reserve(); rows[i].Claim {
			reserved++
		}
	}
	until := a.now().Add(claimLease)
	failpoint.Hit(failpoint.BeforeStore)
	accepted, err := a.ledger.Accept(ctx, rows, claimLease)
	if err == nil && len(accepted) != len(rows) {
		err = fault.Wrap(fault.Internal, "the event could not be stored",
			fmt.Errorf("accept %d rows: %d answers", len(rows), len(accepted)))
	}
	if err != nil {
		a.claims.cancel(reserved)
		return err
	}
	failpoint.Hit(failpoint.AfterStore)
	for i, w := range batch {
		w.answer <- answer{accepted: accepted[i]}
	}
	a.hand(rows, accepted, until)
	return nil
}

// hand gives the new rows to the starter. A row that turns out to be a duplicate
// has nothing to start.
func (a *acceptor) hand(rows []postgres.Acceptance, accepted []postgres.Accepted, until time.Time) {
	behind := false
	for i := range rows {
		fresh := accepted[i].Outcome != postgres.Duplicate
		switch {
		case rows[i].Claim && fresh:
			a.claims.submit(accepted[i].Row, until)
		case rows[i].Claim:
			a.claims.cancel(1)
		case fresh:
			behind = true
		}
	}
	if behind {
		a.claims.fallBehind()
	}
}
