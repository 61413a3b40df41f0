package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

const (
	// refusedPause is how long a row rests whose workflow cannot be started.
	refusedPause = 30 * time.Second
	// refusedFinal is how often Temporal must refuse a row for what it says, each time
	// after it has taken another one, before the row alone is at fault. A server that
	// refuses all rows, because its search attributes are not registered yet, or knows
	// of them on one of its hosts and not on another, is no reason to give a row up.
	refusedFinal = 3
	// refusedMost bounds how many rows are remembered for that. Beyond it others are
	// forgotten and begin anew.
	refusedMost = 4096
	// refusedText is how many bytes of Temporal's reason the ledger keeps.
	refusedText = 300
)

// startRefusal is why the workflow of a row cannot be started although Temporal answers.
type startRefusal struct {
	detail string // for the ledger
	final  bool   // no repeat cures it
	err    error
}

func (r *startRefusal) Error() string { return fmt.Sprintf("%s: %v", r.detail, r.err) }
func (r *startRefusal) Unwrap() error { return r.err }

// identifyOccupant finds out which workflow has the workflow ID of a row. The row is
// started if that is its own workflow, running or ended. One that runs for another body of
// the event was started by the fallback while the database was unavailable, and takes this
// row over once it gets to the ledger (postgres.Backfill). Any other one keeps this email
// from being started.
func (s emailStarter) identifyOccupant(row postgres.Waiting) (startResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()

	o, found, err := temporal.Describe(ctx, s.workflows, s.memos, row.Email.WorkflowID)
	switch {
	case err != nil:
		return startFailed, err
	case !found:
		return startFailed, errors.New("the workflow that had the ID is gone")
	case o.CameWith(row.BodySHA256):
		return startAlready, nil
	case o.IsEmail() && o.Running():
		return startOccupied, &startRefusal{
			detail: "its workflow ID is taken by a running workflow that came with another body and has not taken this one up yet",
			err:    errOccupied,
		}
	case o.IsEmail():
		return startOccupied, &startRefusal{
			detail: "its workflow ID is taken by an ended workflow that came with another body, or does not tell with which",
			final:  true, err: errOccupied,
		}
	}
	return startOccupied, &startRefusal{
		detail: fmt.Sprintf("its workflow ID is taken by another workflow, of type %.60q", o.Type), final: true, err: errOccupied,
	}
}

var errOccupied = errors.New("another workflow has the event's workflow ID")

// invalidStart returns the refusal of a row that Temporal refuses for what it says.
func invalidStart(err error) *startRefusal {
	text := err.Error()
	return &startRefusal{detail: "Temporal refuses to start its workflow: " + text[:min(len(text), refusedText)], err: err}
}

// refusals leaves rows that Temporal refuses to later sweeps or to people.
type refusals struct {
	inbox   Inbox
	sweeper *sweeper
	logger  *slog.Logger
	counts  *refusalCounts
}

// refuse leaves a row to a later sweep, or to a person. A row that is refused for good
// is held as internal and not started before a person retries it; other rows are shown as
// retrying from the second refusal on.
func (r *refusals) refuse(row postgres.Waiting, result startResult, why *startRefusal) {
	again, final := r.counts.add(row.Email.ID)
	final = why.final || final && result == startRefused

	r.logger.Error("workflow.refused", slog.String("event_id", row.Email.EventID),
		slog.String("correlation_id", row.Email.CorrelationID), slog.String("tenant", row.Email.Tenant),
		slog.String("source", row.Email.Source), slog.Bool("final", final), slog.Any("error", why))

	if !again && !final {
		r.sweeper.releaseClaims([]int64{row.Email.ID}, refusedPause)
		return
	}

	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	err := r.inbox.RefuseStart(ctx, postgres.Refusal{
		EmailID: row.Email.ID, Detail: why.detail, Final: final, Rest: refusedPause,
	})
	if err != nil { // the claim ends by itself, and it is refused again
		r.logger.Warn("inbox.refuse", slog.Any("error", err))
		r.sweeper.behind.Store(true)
		return
	}
	if final {
		r.counts.forget(row.Email.ID)
	}
}

// clear removes the refusal of a row that could be started after all. If that fails
// the next change of state overwrites it.
func (r *refusals) clear(row postgres.Waiting) {
	if !row.Refused {
		return
	}
	r.counts.forget(row.Email.ID)
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	if err := r.inbox.ClearRefusal(ctx, row.Email.ID); err != nil {
		r.logger.Warn("inbox.clear_refusal", slog.Any("error", err))
	}
}

// refusalCounts tells rows that are at fault from a server that takes none.
type refusalCounts struct {
	successes atomic.Int64

	mu   sync.Mutex
	rows map[int64]refusedRow
}

// refusedRow counts the refusals of a row, one for each that came after another success of
// the server.
type refusedRow struct {
	counted int
	seen    int64 // successes at the last refusal
}

func newRefusalCounts() *refusalCounts { return &refusalCounts{rows: map[int64]refusedRow{}} }

// recordSuccess records that Temporal has started a row.
func (r *refusalCounts) recordSuccess() { r.successes.Add(1) }

// add records a refusal. again reports whether there was one before; final whether the row
// is at fault.
func (r *refusalCounts) add(id int64) (again, final bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row, again := r.rows[id]
	now := r.successes.Load()
	if again && now > row.seen {
		row.counted++
	}
	row.seen = now

	if len(r.rows) >= refusedMost && !again {
		for other := range r.rows {
			delete(r.rows, other)
			break
		}
	}
	r.rows[id] = row
	return again, row.counted >= refusedFinal
}

func (r *refusalCounts) forget(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rows, id)
}
