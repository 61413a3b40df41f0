package ingress

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
func (s *starter) sweep(ctx context.Context) {
	for {
		// They rest longer than the breaker pauses, and not all as long: a row that
		// fails by itself must not be what is tried each time.
		s.release(s.takeBack(), failedPause+rand.N(failedSpread)) //nolint:gosec // spreads the rows, hides nothing
		s.claimSome(ctx)
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

// claimSome claims as many rows as there is room for.
func (s *starter) claimSome(ctx context.Context) {
	room := s.oldRoom()
	if room == 0 {
		return
	}
	s.behind.Store(false) // before the look, so that a row committed during it counts
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	until := s.now().Add(claimLease)
	rows, err := s.inbox.ClaimWaiting(ctx, room, claimLease)
	if err != nil {
		s.behind.Store(true)
		if !errors.Is(ctx.Err(), context.Canceled) && !s.blind {
			s.blind = true
			s.logger.Warn("inbox.sweep", slog.Any("error", err))
		}
		return
	}
	if s.blind {
		s.blind = false
		s.logger.Info("inbox.sweep_again")
	}
	if len(rows) == room {
		s.behind.Store(true)
	}
	s.queueOld(rows, until)
}

// queueOld queues claimed rows, but for those that this process has started or is
// starting: their mark, or their start, took longer than their lease.
func (s *starter) queueOld(rows []postgres.Waiting, until time.Time) {
	claims := make([]claim, 0, len(rows))
	for _, row := range rows {
		known, started := s.lately.has(row.Email.ID)
		switch {
		case started:
			s.marks.add(row.Email.ID)
		case !known:
			claims = append(claims, claim{row: row, until: until})
		}
	}
	s.lanes.put(claims...)
}

// oldRoom is how many rows a claim may take: none while more than half of what can
// be started in time is there already, one to try with when Temporal may be back,
// none while it is away.
func (s *starter) oldRoom() int {
	waiting := s.lanes.waitingOld()
	inFlight, limit := s.limiter.state()
	switch s.breaker.State() {
	case gobreaker.StateOpen:
		return 0
	case gobreaker.StateHalfOpen:
		return max(0, 1-waiting-inFlight)
	}
	room := min(startQueue, s.tempo.room(s.now(), limit))
	if waiting > room/2 {
		return 0 // dispatch nudges when half of it is started
	}
	return room - waiting
}

// giveBack leaves a row to the next sweep, which gives it back to the inbox: many
// that fail together are one write.
func (s *starter) giveBack(id int64) {
	s.mu.Lock()
	s.failed = append(s.failed, id)
	s.mu.Unlock()
	s.fallBehind()
}

func (s *starter) takeBack() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.failed
	s.failed = nil
	return ids
}

// release gives claims back to the inbox. Where that fails they end by themselves.
func (s *starter) release(ids []int64, after time.Duration) {
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
