package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"mailroom/ingress/breaker"
	"mailroom/shared/postgres"
)

// sweeper claims rows of the inbox for the queue and releases claims that were not used.
type sweeper struct {
	inbox   Inbox
	queue   *claimQueue
	pacer   *pacer
	recent  *recentStarts
	marks   *markBuffer
	breaker *breaker.Breaker
	logger  *slog.Logger
	now     func() time.Time

	behind  atomic.Bool   // the inbox has rows that no process has claimed
	wake    chan struct{} // holds a token after wakeUp
	failing bool          // the last claim failed; used by run alone

	mu         sync.Mutex
	unreleased []int64 // claims of starts that failed, to be released by the next sweep
}

// sweepSoon reports that the inbox has rows which no process has claimed.
func (s *sweeper) sweepSoon() {
	s.behind.Store(true)
	s.wakeUp()
}

func (s *sweeper) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run claims what waits in the inbox: when it is told that something does, when
// there is room again, and from time to time for the rows of other processes.
func (s *sweeper) run(ctx context.Context) {
	for {
		// They rest longer than the breaker pauses, and not all as long: a row that
		// fails by itself must not be what is tried each time.
		s.releaseClaims(s.takeFailed(), failedPause+rand.N(failedSpread)) //nolint:gosec // spreads the rows, hides nothing
		s.claimRows(ctx)

		timer := time.NewTimer(sweepEvery/2 + rand.N(sweepEvery/2)) //nolint:gosec // spreads the ingresses, hides nothing
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

// claimRows claims as many rows as there is room for.
func (s *sweeper) claimRows(ctx context.Context) {
	room := s.room()
	if room == 0 {
		return
	}

	s.behind.Store(false) // before the claim, so that a row committed during it counts
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	until := s.now().Add(Lease)
	rows, err := s.inbox.ClaimWaiting(ctx, room, Lease)
	if err != nil {
		s.behind.Store(true)
		if !errors.Is(ctx.Err(), context.Canceled) && !s.failing {
			s.failing = true
			s.logger.Warn("inbox.sweep", slog.Any("error", err))
		}
		return
	}
	if s.failing {
		s.failing = false
		s.logger.Info("inbox.sweep_again")
	}

	if len(rows) == room {
		s.behind.Store(true)
	}
	s.queueRows(rows, until)
}

// queueRows queues claimed rows, except those that this process has started or is
// starting: their mark, or their start, took longer than their lease.
func (s *sweeper) queueRows(rows []postgres.Waiting, until time.Time) {
	claims := make([]claim, 0, len(rows))
	for _, row := range rows {
		begun, started := s.recent.find(row.Email.ID)
		switch {
		case started:
			s.marks.add(row.Email.ID)
		case !begun:
			claims = append(claims, claim{row: row, until: until})
		}
	}
	s.queue.put(claims...)
}

// room returns how many rows a sweep may claim: none while more than half of what
// can be started in time is in the queue, one to try with when Temporal may have
// recovered, none while it is unavailable.
func (s *sweeper) room() int {
	waiting := s.queue.oldLen()
	switch s.breaker.State() {
	case gobreaker.StateOpen:
		return 0
	case gobreaker.StateHalfOpen:
		inFlight, _ := s.pacer.state()
		return max(0, 1-waiting-inFlight)
	}

	room := min(queueMost, s.pacer.room())
	if waiting > room/2 {
		return 0 // startRows wakes the sweeper when half of it is started
	}
	return room - waiting
}

// releaseLater leaves a claim to the next sweep, which releases it: many that fail
// together are one write.
func (s *sweeper) releaseLater(id int64) {
	s.mu.Lock()
	s.unreleased = append(s.unreleased, id)
	s.mu.Unlock()
	s.sweepSoon()
}

// takeFailed removes and returns the claims that are to be released.
func (s *sweeper) takeFailed() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.unreleased
	s.unreleased = nil
	return ids
}

// releaseClaims returns claims to the inbox, to be claimed again after a while. If that
// fails they end by themselves.
func (s *sweeper) releaseClaims(ids []int64, after time.Duration) {
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	if err := s.inbox.ReleaseClaims(ctx, ids, after); err != nil {
		s.logger.Debug("inbox.release", slog.Int("rows", len(ids)), slog.Any("error", err))
	}
	s.behind.Store(true)
}
