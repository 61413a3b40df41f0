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

// runSweeps claims what waits in the inbox: when it is told that something does, when
// there is room again, and from time to time for the rows of other processes.
func (d *Dispatcher) runSweeps(ctx context.Context) {
	for {
		// They rest longer than the breaker pauses, and not all as long: a row that
		// fails by itself must not be what is tried each time.
		d.releaseClaims(d.takeFailed(), failedPause+rand.N(failedSpread)) //nolint:gosec // spreads the rows, hides nothing
		d.claimRows(ctx)

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

// claimRows claims as many rows as there is room for.
func (d *Dispatcher) claimRows(ctx context.Context) {
	room := d.claimRoom()
	if room == 0 {
		return
	}

	d.behind.Store(false) // before the claim, so that a row committed during it counts
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	until := d.now().Add(Lease)
	rows, err := d.inbox.ClaimWaiting(ctx, room, Lease)
	if err != nil {
		d.behind.Store(true)
		if !errors.Is(ctx.Err(), context.Canceled) && !d.sweepFailing {
			d.sweepFailing = true
			d.logger.Warn("inbox.sweep", slog.Any("error", err))
		}
		return
	}
	if d.sweepFailing {
		d.sweepFailing = false
		d.logger.Info("inbox.sweep_again")
	}

	if len(rows) == room {
		d.behind.Store(true)
	}
	d.queueRows(rows, until)
}

// queueRows queues claimed rows, except those that this process has started or is
// starting: their mark, or their start, took longer than their lease.
func (d *Dispatcher) queueRows(rows []postgres.Waiting, until time.Time) {
	claims := make([]claim, 0, len(rows))
	for _, row := range rows {
		begun, started := d.recent.find(row.Email.ID)
		switch {
		case started:
			d.marks.add(row.Email.ID)
		case !begun:
			claims = append(claims, claim{row: row, until: until})
		}
	}
	d.queue.put(claims...)
}

// claimRoom returns how many rows a sweep may claim: none while more than half of what
// can be started in time is in the queue, one to try with when Temporal may have
// recovered, none while it is unavailable.
func (d *Dispatcher) claimRoom() int {
	waiting := d.queue.oldLen()
	switch d.breaker.State() {
	case gobreaker.StateOpen:
		return 0
	case gobreaker.StateHalfOpen:
		inFlight, _ := d.pacer.state()
		return max(0, 1-waiting-inFlight)
	}

	room := min(queueMost, d.pacer.room())
	if waiting > room/2 {
		return 0 // startRows wakes the sweeper when half of it is started
	}
	return room - waiting
}

// releaseLater leaves a claim to the next sweep, which releases it: many that fail
// together are one write.
func (d *Dispatcher) releaseLater(id int64) {
	d.mu.Lock()
	d.failed = append(d.failed, id)
	d.mu.Unlock()
	d.SweepSoon()
}

// takeFailed removes and returns the claims that are to be released.
func (d *Dispatcher) takeFailed() []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := d.failed
	d.failed = nil
	return ids
}

// releaseClaims returns claims to the inbox, to be claimed again after a while. If that
// fails they end by themselves.
func (d *Dispatcher) releaseClaims(ids []int64, after time.Duration) {
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
