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
	// requests to be answered, within Timeout.
	flushTimeout = 1800 * time.Millisecond
	// After a write that found no database one write in outagePause tries again; no other
	// request waits for it, since those in the queue need time left for Temporal.
	databaseFailures = 1
	outagePause      = time.Second
	// A batch of crowd rows shows that requests come faster than commits; for
	// crowdFor after it, accepting comes before starts.
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
	// Yield holds starts back until then, in favor of accepting.
	Yield(until time.Time)
}

// Fallback makes an event durable without the database.
type Fallback interface {
	Start(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error)
}

// Deps is what an accepter needs; all are required.
type Deps struct {
	Ledger   acceptance.Ledger
	Fallback Fallback
	Claims   Claims
	Logger   *slog.Logger
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

	queue   chan *pendingRow
	quit    chan struct{}
	running sync.WaitGroup
}

// pendingRow is the row of one request that waits for it.
type pendingRow struct {
	ctx    context.Context
	row    postgres.Acceptance
	result chan result // holds one, so that no write waits for a request that left
}

type result struct {
	accepted postgres.Accepted
	err      error
}

// New returns an accepter that claims rows for lease. It accepts nothing before Start.
func New(lease time.Duration, deps Deps) (*Accepter, error) {
	if deps.Ledger == nil || deps.Fallback == nil || deps.Claims == nil || deps.Logger == nil {
		return nil, errors.New("accept: a dependency is missing")
	}

	return &Accepter{
		ledger: deps.Ledger, fallback: deps.Fallback, claims: deps.Claims, lease: lease, now: time.Now,
		breaker: breaker.New(breaker.Config{Name: "postgres", Failures: databaseFailures, Pause: outagePause}, deps.Logger),
		queue:   make(chan *pendingRow, acceptQueue), quit: make(chan struct{}),
	}, nil
}

// Start begins to write rows.
func (a *Accepter) Start() {
	for range flushers {
		a.running.Go(a.writeQueue)
	}
}

// Stop returns once every row in the queue has its result. It must be called once, when
// no request can come any more.
func (a *Accepter) Stop() {
	close(a.quit)
	a.running.Wait()
}

// Accept returns when row is durable, or ctx is done. In the second case the row may have
// been stored all the same; a repeat finds out.
func (a *Accepter) Accept(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	accepted, err := a.insert(ctx, row)
	if !fault.Is(err, fault.StorageUnavailable) || ctx.Err() != nil {
		return accepted, err
	}

	// The row may have been committed all the same. Then the workflow finds it.
	accepted, fallbackErr := a.fallback.Start(ctx, row)
	if fallbackErr != nil {
		return postgres.Accepted{}, fault.Wrap(fault.StorageUnavailable,
			"the event could not be stored", errors.Join(err, fallbackErr))
	}
	return accepted, nil
}

// insert returns when row is in the database.
func (a *Accepter) insert(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	if a.breaker.State() == gobreaker.StateOpen {
		return postgres.Accepted{}, ErrNoDatabase
	}

	p := &pendingRow{ctx: ctx, row: row, result: make(chan result, 1)}
	select {
	case a.queue <- p:
	default:
		return postgres.Accepted{}, fault.New(fault.Overloaded, "too many events wait to be stored at the moment")
	}

	select {
	case r := <-p.result:
		return r.accepted, r.err
	case <-ctx.Done():
		return postgres.Accepted{}, fault.Wrap(fault.StorageUnavailable, "the event could not be stored in time", ctx.Err())
	}
}

// writeQueue writes rows in batches until Stop, and then those that are left.
func (a *Accepter) writeQueue() {
	for {
		select {
		case p := <-a.queue:
			a.writeBatch(a.collectBatch(p))

		case <-a.quit:
			for {
				select {
				case p := <-a.queue:
					a.writeBatch(a.collectBatch(p))
				default:
					return
				}
			}
		}
	}
}

// collectBatch returns first and all rows that are in the queue right now, up to the
// bounds of a batch. It leaves out rows of requests that left: their senders try again.
func (a *Accepter) collectBatch(first *pendingRow) []*pendingRow {
	batch := make([]*pendingRow, 0, 16)
	size := 0
	for p := first; ; {
		if p.ctx.Err() == nil {
			batch = append(batch, p)
			size += len(p.row.Body)
		}
		if len(batch) == maxBatchRows || size >= maxBatchSize {
			break
		}

		select {
		case p = <-a.queue:
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

// writeBatch writes one batch; every row of it gets its result. If the batch is refused
// for what it holds, each row is written alone, so that one cannot harm the others.
func (a *Accepter) writeBatch(batch []*pendingRow) {
	if len(batch) == 0 {
		return
	}
	done, err := a.breaker.Allow()
	if err != nil {
		failRows(batch, ErrNoDatabase)
		return
	}

	err = a.writeRows(batch)
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
		a.writeSingly(batch)
		return
	}
	failRows(batch, err)
}

func failRows(batch []*pendingRow, err error) {
	for _, p := range batch {
		p.result <- result{err: err}
	}
}

// writeSingly writes each row alone, for as long as the database is there and the row's
// request waits for it.
func (a *Accepter) writeSingly(batch []*pendingRow) {
	var outage error
	for _, p := range batch {
		if p.ctx.Err() != nil {
			continue
		}

		err := outage
		if err == nil {
			err = a.writeRows([]*pendingRow{p})
		}
		if fault.Is(err, fault.StorageUnavailable) {
			outage = err
		}
		if err != nil {
			p.result <- result{err: err}
		}
	}
}

// writeRows inserts rows in one commit. If that succeeds every row has its result, and
// the new ones are with the dispatcher.
func (a *Accepter) writeRows(batch []*pendingRow) error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	rows := make([]postgres.Acceptance, len(batch))
	reserved := 0
	for i, p := range batch {
		rows[i] = p.row
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

	for i, p := range batch {
		p.result <- result{accepted: accepted[i]}
	}
	a.submitRows(rows, accepted, until)
	return nil
}

// submitRows leaves the new rows to the dispatcher. A row that turns out to be a duplicate
// has nothing to start.
func (a *Accepter) submitRows(rows []postgres.Acceptance, accepted []postgres.Accepted, until time.Time) {
	unclaimed := false
	for i := range rows {
		fresh := accepted[i].Outcome != postgres.Duplicate
		switch {
		case rows[i].Claim && fresh:
			a.claims.Submit(accepted[i].Row, until)
		case rows[i].Claim:
			a.claims.Cancel(1)
		case fresh:
			unclaimed = true
		}
	}

	if unclaimed {
		a.claims.SweepSoon()
	}
}
