package authlog

import (
	"context"
	"log/slog"
	"time"

	"mailroom/shared/ledger"
)

const (
	writeEvery = 5 * time.Second
	// writeTimeout bounds one write, including the one that is running when Run is told
	// to end; lastTimeout bounds everything that Run writes after that.
	writeTimeout = 3 * time.Second
	lastTimeout  = 3 * time.Second
	maxRows      = 1000 // of one statement

	pruneEvery   = time.Hour
	pruneAgain   = time.Minute // after a failure
	pruneTimeout = 30 * time.Second
)

// Run writes the collected failures every 5 s, and deletes those older than Config.Keep
// every hour, until ctx ends. It then writes once more and returns within 6 s, whatever the
// database does. While the database is unavailable, failures stay in memory and are written
// later. Run must be called once.
func (r *Recorder) Run(ctx context.Context) {
	ticker := time.NewTicker(writeEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			// A write is not cancelled: failures of a write that is cut off may count twice.
			if r.writeCollected(context.WithoutCancel(ctx)) {
				r.prune(ctx)
			}
		case <-ctx.Done():
		}
	}

	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
	defer cancel()
	r.writeCollected(last)
}

// writeCollected saves the collected failures, in statements of bounded size, and reports
// whether all succeeded. Failures of a statement that did not are collected again. The
// first error, and the first success after it, are logged.
func (r *Recorder) writeCollected(ctx context.Context) bool {
	// Failures that are added meanwhile wait for the next call.
	for left := r.waiting(); left > 0; left -= maxRows {
		rows, entries := r.takeRows(min(left, maxRows))
		if len(rows) == 0 {
			continue
		}

		if err := r.save(ctx, rows); err != nil {
			r.returnRows(rows, entries)
			if !r.failing {
				r.failing = true
				r.logger.Warn("audit.not_written", slog.Any("error", err))
			}
			return false
		}

		if r.failing {
			r.failing = false
			r.logger.Info("audit.written_again")
		}
	}

	r.removeHours()
	return true
}

// waiting returns how many entries have a count.
func (r *Recorder) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.dirty)
}

// save writes rows within writeTimeout.
func (r *Recorder) save(ctx context.Context, rows []ledger.VerificationFailure) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return r.store.SaveVerificationFailures(ctx, rows)
}

// takeRows returns rows for the n entries that have had a count for longest, and these
// entries, whose counts it resets. It drops hours that would be pruned at once.
func (r *Recorder) takeRows(n int) ([]ledger.VerificationFailure, []*entry) {
	tooOld := r.now().Add(-r.cfg.Keep - time.Hour).Unix()
	r.mu.Lock()
	defer r.mu.Unlock()

	rows, entries := make([]ledger.VerificationFailure, 0, n), make([]*entry, 0, n)
	for _, e := range r.dirty[:n] {
		if e.hour > tooOld {
			row := ledger.VerificationFailure{
				Hour: time.Unix(e.hour, 0).UTC(), Source: e.source, Scheme: e.scheme, Code: string(e.code),
				Count: e.count, FirstAt: e.first, LastAt: e.last,
			}
			if e.address.IsValid() {
				row.Address = e.address.String()
			}
			rows, entries = append(rows, row), append(entries, e)
		}
		e.count = 0
	}

	r.dirty = append(r.dirty[:0], r.dirty[n:]...)
	return rows, entries
}

// returnRows undoes takeRows for rows that were not written.
func (r *Recorder) returnRows(rows []ledger.VerificationFailure, entries []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range entries {
		r.count(e, rows[i].Count, rows[i].FirstAt, rows[i].LastAt)
	}
	r.removeHoursLocked()
}

// removeHours removes the hours that are over and written.
func (r *Recorder) removeHours() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeHoursLocked()
}

// removeHoursLocked removes the hours before the present one that have nothing to write.
// Only Run removes hours, and not between takeRows and returnRows, so that the entries in
// between stay part of the map. The caller holds the lock.
func (r *Recorder) removeHoursLocked() {
	present := hourOf(r.now())
	if len(r.hours) == 0 || len(r.hours) == 1 && r.hours[present] != nil {
		return
	}

	waiting := map[int64]bool{present: true}
	for _, e := range r.dirty {
		waiting[e.hour] = true
	}
	for hour, h := range r.hours {
		if !waiting[hour] {
			r.held -= h.held
			delete(r.hours, hour)
		}
	}
}

// prune deletes failures older than Keep, if an hour has passed since it last did, or a
// minute since it failed.
func (r *Recorder) prune(ctx context.Context) {
	now := r.now()
	if now.Before(r.nextPrune) || ctx.Err() != nil {
		return
	}

	limit, cancel := context.WithTimeout(ctx, pruneTimeout)
	defer cancel()
	gone, err := r.store.PruneVerificationFailures(limit, now.Add(-r.cfg.Keep))
	switch {
	case err == nil:
		r.nextPrune = now.Add(pruneEvery)
		if gone > 0 {
			r.logger.Info("audit.pruned", slog.Int64("rows", gone))
		}
	case ctx.Err() == nil:
		r.nextPrune = now.Add(pruneAgain)
		r.logger.Warn("audit.not_pruned", slog.Any("error", err))
	}
}
