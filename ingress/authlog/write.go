package authlog

import (
	"context"
	"log/slog"
	"time"

	"mailroom/shared/ledger"
)

const (
	writeEvery = 5 * time.Second
	// writeTimeout bounds one write, also the one under way when Run is to end,
	// and lastTimeout all that Run writes after that.
	writeTimeout = 3 * time.Second
	lastTimeout  = 3 * time.Second
	// maxRows bounds one statement.
	maxRows = 1000

	pruneEvery   = time.Hour
	pruneAgain   = time.Minute // after one that did not end
	pruneTimeout = 30 * time.Second
)

// Run writes what was gathered every few seconds and prunes what is too old every
// hour, until ctx ends; it writes once more then and returns within seconds,
// whatever the database does. While the database is away, everything is kept and
// tried again. Run is called once.
func (r *Recorder) Run(ctx context.Context) {
	ticker := time.NewTicker(writeEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			// A write that was begun is ended: one that is cut off may count twice.
			if r.write(context.WithoutCancel(ctx)) {
				r.prune(ctx)
			}
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
	defer cancel()
	r.write(last)
}

// write hands what is gathered to the store, in statements of bounded size, and
// reports whether it has it. What a statement did not take is gathered again.
func (r *Recorder) write(ctx context.Context) bool {
	// What is added meanwhile waits for the next time.
	for left := r.waiting(); left > 0; left -= maxRows {
		rows, entries := r.take(min(left, maxRows))
		if len(rows) == 0 {
			continue
		}
		if err := r.save(ctx, rows); err != nil {
			r.giveBack(rows, entries)
			if !r.away {
				r.away = true
				r.logger.Warn("audit.not_written", slog.Any("error", err))
			}
			return false
		}
		if r.away {
			r.away = false
			r.logger.Info("audit.written_again")
		}
	}
	r.forget()
	return true
}

// waiting is how many entries have a count.
func (r *Recorder) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.dirty)
}

func (r *Recorder) save(ctx context.Context, rows []ledger.VerificationFailure) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return r.store.SaveVerificationFailures(ctx, rows)
}

// take gives rows for the n entries that have had a count for longest, and these
// entries, which begin anew. Hours that are pruned anyway are left out.
func (r *Recorder) take(n int) ([]ledger.VerificationFailure, []*entry) {
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

// giveBack undoes take for rows that were not written.
func (r *Recorder) giveBack(rows []ledger.VerificationFailure, entries []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, e := range entries {
		r.count(e, rows[i].Count, rows[i].FirstAt, rows[i].LastAt)
	}
	r.drop()
}

// forget drops the hours that are over and written.
func (r *Recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
}

// drop removes the hours before the present one that have nothing to write. Only
// Run removes hours, and not between take and giveBack, so that an entry it holds
// is one of the map's. The caller holds the lock.
func (r *Recorder) drop() {
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

// prune deletes what is older than Keep, when it is time for that.
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
