package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/sony/gobreaker/v2"

	"mailroom/shared/postgres"
)

// sweep claims what waits in the inbox: when it is told that something does, when
// there is room again, and from time to time for the rows of others.
func (d *Dispatcher) sweep(ctx context.Context) {
	for {
		// They rest longer than the breaker pauses, and not all as long: a row that
		// fails by itself must not be what is tried each time.
		d.release(d.takeBack(), failedPause+rand.N(failedSpread)) //nolint:gosec // spreads the rows, hides nothing
		d.claimSome(ctx)
		timer := time.NewTimer(sweepEvery/2 + rand.N(sweepEvery/2)) //nolint:gosec // spreads the ingresses, hides nothing
		select {
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// claimSome claims as many rows as there is room for.
func (d *Dispatcher) claimSome(ctx context.Context) {
	room := d.oldRoom()
	if room == 0 {
		return
	}
	d.behind.Store(false) // before the look, so that a row committed during it counts
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	until := d.now().Add(Lease)
	rows, err := d.inbox.ClaimWaiting(ctx, room, Lease)
	if err != nil {
		d.behind.Store(true)
		if !errors.Is(ctx.Err(), context.Canceled) && !d.blind {
			d.blind = true
			d.logger.Warn("inbox.sweep", slog.Any("error", err))
		}
		return
	}
	if d.blind {
		d.blind = false
		d.logger.Info("inbox.sweep_again")
	}
	if len(rows) == room {
		d.behind.Store(true)
	}
	d.queueOld(rows, until)
}

// queueOld queues claimed rows, but for those that this process has started or is
// starting: their mark, or their start, took longer than their lease.
func (d *Dispatcher) queueOld(rows []postgres.Waiting, until time.Time) {
	claims := make([]claim, 0, len(rows))
	for _, row := range rows {
		known, started := d.lately.has(row.Email.ID)
		switch {
		case started:
			d.marks.add(row.Email.ID)
		case !known:
			claims = append(claims, claim{row: row, until: until})
		}
	}
	d.lanes.put(claims...)
}

// oldRoom is how many rows a claim may take: none while more than half of what can
// be started in time is there already, one to try with when Temporal may be back,
// none while it is away.
func (d *Dispatcher) oldRoom() int {
	waiting := d.lanes.waitingOld()
	inFlight, limit := d.limiter.state()
	switch d.breaker.State() {
	case gobreaker.StateOpen:
		return 0
	case gobreaker.StateHalfOpen:
		return max(0, 1-waiting-inFlight)
	}
	room := min(startQueue, d.tempo.room(d.now(), limit))
	if waiting > room/2 {
		return 0 // dispatch nudges when half of it is started
	}
	return room - waiting
}

// giveBack leaves a row to the next sweep, which gives it back to the inbox: many
// that fail together are one write.
func (d *Dispatcher) giveBack(id int64) {
	d.mu.Lock()
	d.failed = append(d.failed, id)
	d.mu.Unlock()
	d.SweepSoon()
}

func (d *Dispatcher) takeBack() []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := d.failed
	d.failed = nil
	return ids
}

// release gives claims back to the inbox. Where that fails they end by themselves.
func (d *Dispatcher) release(ids []int64, after time.Duration) {
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	if err := d.inbox.ReleaseClaims(ctx, ids, after); err != nil {
		d.logger.Debug("inbox.release", slog.Int("rows", len(ids)), slog.Any("error", err))
	}
	d.behind.Store(true)
}
