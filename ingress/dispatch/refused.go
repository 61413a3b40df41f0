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
	// after it has taken another one, before the row alone is to blame. A server that
	// refuses all rows, because its search attributes are not registered yet, or knows
	// of them on one of its hosts and not on another, is no reason to give a row up.
	refusedFinal = 3
	// refusedMost bounds how many rows are remembered for that. Beyond it others are
	// forgotten and begin anew.
	refusedMost = 4096
	// refusedText bounds in bytes what the ledger is told of Temporal's reason.
	refusedText = 300
)

// unstartable is why the workflow of a row cannot be started although Temporal answers.
type unstartable struct {
	sentence string // for the ledger
	// final says that no repeat cures it.
	final bool
	err   error
}

func (u *unstartable) Error() string { return fmt.Sprintf("%s: %v", u.sentence, u.err) }
func (u *unstartable) Unwrap() error { return u.err }

// occupied finds out what has the workflow ID of a row. The row is started if that is
// its own workflow, running or ended. One that runs for another body of the event came
// through Temporal while the database was away, and takes this row up once it gets to
// the ledger (postgres.Backfill). Whatever else has the ID keeps it from this email.
func (d *Dispatcher) occupied(row postgres.Waiting) (startResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()

	o, found, err := temporal.Describe(ctx, d.workflows, d.memos, row.Email.WorkflowID)
	switch {
	case err != nil:
		return startFailed, err
	case !found:
		return startFailed, errors.New("the workflow that had the ID is gone")
	case o.CameWith(row.BodySHA256):
		return startAlready, nil
	case o.IsEmail() && o.Running():
		return startOccupied, &unstartable{
			sentence: "its workflow ID is taken by a running workflow that came with another body and has not taken this one up yet",
			err:      errOccupied,
		}
	case o.IsEmail():
		return startOccupied, &unstartable{
			sentence: "its workflow ID is taken by an ended workflow that came with another body, or does not tell with which",
			final:    true, err: errOccupied,
		}
	}
	return startOccupied, &unstartable{
		sentence: fmt.Sprintf("its workflow ID is taken by another workflow, of type %.60q", o.Type), final: true, err: errOccupied,
	}
}

var errOccupied = errors.New("the workflow ID is taken")

// refused makes the reason of a row that Temporal refuses for what it says.
func refused(err error) *unstartable {
	text := err.Error()
	return &unstartable{sentence: "Temporal refuses to start its workflow: " + text[:min(len(text), refusedText)], err: err}
}

// refuse leaves a row to later, or to a person. What is final, or has become so, is
// held as internal and started by nobody until a person retries it; from the second
// time on other rows are shown as retrying.
func (d *Dispatcher) refuse(row postgres.Waiting, result startResult, why *unstartable) {
	again, final := d.refusedRows.add(row.Email.ID)
	final = why.final || final && result == startRefused

	d.logger.Error("workflow.refused", slog.String("event_id", row.Email.EventID),
		slog.String("correlation_id", row.Email.CorrelationID), slog.String("tenant", row.Email.Tenant),
		slog.String("source", row.Email.Source), slog.Bool("final", final), slog.Any("error", why))

	if !again && !final {
		d.release([]int64{row.Email.ID}, refusedPause)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	err := d.inbox.RefuseStart(ctx, postgres.Refusal{
		EmailID: row.Email.ID, Detail: why.sentence, Final: final, Rest: refusedPause,
	})
	if err != nil { // the claim ends by itself, and it is refused again
		d.logger.Warn("inbox.refuse", slog.Any("error", err))
		d.behind.Store(true)
		return
	}
	if final {
		d.refusedRows.forget(row.Email.ID)
	}
}

// cleared takes back what the ledger was told of a row that could be started after all.
// Where that fails the next change of state overwrites it.
func (d *Dispatcher) cleared(row postgres.Waiting) {
	if !row.Refused {
		return
	}
	d.refusedRows.forget(row.Email.ID)
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	if err := d.inbox.ClearRefusal(ctx, row.Email.ID); err != nil {
		d.logger.Warn("inbox.clear_refusal", slog.Any("error", err))
	}
}

// refusedRows tells rows that are at fault from a server that takes none.
type refusedRows struct {
	successes atomic.Int64

	mu   sync.Mutex
	rows map[int64]refusedRow
}

// refusedRow counts the refusals of a row that came after another row's success, which
// it has seen so many of.
type refusedRow struct {
	counted int
	seen    int64
}

func newRefusedRows() *refusedRows { return &refusedRows{rows: map[int64]refusedRow{}} }

// success notes that Temporal has taken a row.
func (r *refusedRows) success() { r.successes.Add(1) }

// add notes a refusal. again reports whether there was one before; final whether the row
// is at fault.
func (r *refusedRows) add(id int64) (again, final bool) {
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

func (r *refusedRows) forget(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rows, id)
}
