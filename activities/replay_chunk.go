package activities

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// How often a chunk reads and writes the ledger.
const (
	watchEvery = 400 * time.Millisecond // a pause or a stop is seen within it
	flushEvery = 250 * time.Millisecond
	flushAt    = 200 // results
	saveTries  = 3
	paceOver   = 3 * time.Second // what the pace is averaged over
)

// chunk is one part of a replay at work: one dispatcher, up to row.AtOnce emails
// side by side, one writer of results, and one that watches what the ledger says.
type chunk struct {
	s     *Replays
	row   *ledger.ReplayRow
	fence int64
	until time.Time
	pacer *pacer

	work    *emailWork
	results chan ledger.ReplayResult
	places  chan struct{}
	pace    float64

	stopOnce sync.Once
	stop     chan struct{}
	failure  error // set before stop is closed
}

// halt ends the chunk early: no further email is begun. The first reason counts.
func (c *chunk) halt(why error) {
	c.stopOnce.Do(func() {
		c.failure = why
		close(c.stop)
	})
}

// run works until the time is over, the replay is stopped, or there is nothing left, which
// it reports. Every email that it has begun is over then and has its result
// written down.
func (c *chunk) run(ctx context.Context) (end bool, err error) {
	watch, endWatch := context.WithCancel(ctx)
	var watching, writing, working sync.WaitGroup
	watching.Go(func() { c.watchControls(watch) })
	writing.Go(func() { c.writeResults(context.WithoutCancel(ctx)) })

	end = c.dispatch(ctx, &working)
	working.Wait()
	close(c.results)
	writing.Wait()
	endWatch()
	watching.Wait()

	c.halt(nil) // from here on the failure does not change
	if c.failure != nil {
		return false, c.failure
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("replay: %w", err)
	}
	return end, nil
}

// dispatch begins emails as they are due: first those of earlier claims.
func (c *chunk) dispatch(ctx context.Context, working *sync.WaitGroup) (end bool) {
	list, err := c.s.deps.Claims.ClaimedReplay(ctx, c.row.ID)
	if err != nil {
		c.halt(fmt.Errorf("read claims: %w", err))
		return false
	}

	for {
		for _, e := range list {
			if !c.awaitTurn(ctx) {
				return false
			}
			working.Go(func() {
				defer func() { <-c.places }()
				if r, ok := c.process(ctx, &e); ok {
					c.results <- r
				}
			})
		}
		if end || !c.open(ctx) {
			return end
		}

		if list, end, err = c.s.deps.Claims.ClaimReplay(ctx, c.row, c.fence, c.pacer.batch(c.row.AtOnce)); err != nil {
			c.halt(fmt.Errorf("claim emails: %w", err))
			return false
		}
		if len(list) == 0 && !end { // paused or stopped
			return false
		}
	}
}

// open reports whether another email may be begun.
func (c *chunk) open(ctx context.Context) bool {
	select {
	case <-c.stop:
		return false
	case <-ctx.Done():
		return false
	default:
		return c.s.deps.Now().Before(c.until)
	}
}

// awaitTurn waits until the next email is due and there is a place for it, which it takes.
func (c *chunk) awaitTurn(ctx context.Context) bool {
	if !c.open(ctx) {
		return false
	}

	now := c.s.deps.Now()
	if wait := c.pacer.due(now).Sub(now); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.stop:
			return false
		case <-ctx.Done():
			return false
		}
	}

	select {
	case c.places <- struct{}{}:
		return true
	case <-c.stop:
		return false
	case <-ctx.Done():
		return false
	}
}

// watchControls ends the chunk when the replay is paused, stopped or taken over by another
// worker, and hands a new rate on. A ledger that does not answer is no reason to stop: claims
// and results need it as well, and say so.
func (c *chunk) watchControls(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}

		state, rate, fence, err := c.s.deps.Controls.ReplayControl(ctx, c.row.ID)
		if err != nil {
			continue
		}
		if state != contract.ReplayRunning || fence != c.fence {
			c.halt(nil)
			return
		}
		c.pacer.set(rate, c.s.deps.Now())
	}
}

// writeResults saves the results, many at a time.
func (c *chunk) writeResults(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	var list []ledger.ReplayResult
	last := c.s.deps.Now()
	flush := func() {
		now := c.s.deps.Now()
		if took := now.Sub(last); took > 0 {
			weight := 1 - math.Exp(-float64(took)/float64(paceOver))
			c.pace += weight * (float64(len(list))/took.Seconds() - c.pace)
		}
		last = now
		if err := c.saveResults(ctx, list); err != nil {
			c.halt(err)
		}
		list = nil
	}

	for {
		select {
		case r, open := <-c.results:
			if !open {
				if len(list) > 0 {
					flush()
				}
				return
			}
			if list = append(list, r); len(list) >= flushAt {
				flush()
			}
		case <-ticker.C:
			flush() // an empty one shows that the replay is alive, and slow
		}
	}
}

// saveResults saves results. Those that cannot be saved stay claimed, and the next attempt
// finds out what became of them.
func (c *chunk) saveResults(ctx context.Context, list []ledger.ReplayResult) (err error) {
	ctx, cancel := context.WithTimeout(ctx, saveWithin)
	defer cancel()
	for range saveTries {
		if err = c.s.deps.Claims.SaveReplayResults(ctx, c.row.ID, list, c.pace); err == nil {
			return nil
		}
	}
	return fmt.Errorf("save results: %w", err)
}

// errNoAnswer ends a chunk because Temporal does not answer; the next attempt goes on.
var errNoAnswer = errors.New("temporal does not answer")

// process does what is asked for with one email. It returns false where the result is not
// known: the email stays claimed.
func (c *chunk) process(ctx context.Context, e *ledger.ReplayEmail) (ledger.ReplayResult, bool) {
	result, err := c.work.try(ctx, e)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return result, false
	case fault.Is(err, fault.DecisionRefused):
		result = ledger.ReplayResult{State: ledger.ItemSkipped, Code: ledger.ItemRefused, Detail: fault.From(err).Public}
	case !c.s.deps.Executions.Healthy(ctx) || fault.Is(err, fault.StorageUnavailable):
		c.halt(fault.Wrap(fault.TemporalUnavailable, "Temporal or the database does not answer", errors.Join(errNoAnswer, err)))
		return result, false
	case c.row.Action == contract.Discard: // its end may come, or not be in the ledger yet: the next attempt finds out
		return result, false
	default:
		result = ledger.ReplayResult{State: ledger.ItemFailed, Code: ledger.ItemUnavailable, Detail: fault.From(err).Public}
	}
	result.EmailID = e.ID
	return result, true
}
