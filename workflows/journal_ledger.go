package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// ledgerQueue holds the changes of state that are not yet in the ledger, oldest
// first, and writes them. The one writer keeps their order while the ledger is
// unavailable, and nothing but the end of the email waits for it.
type ledgerQueue struct {
	in         *contract.InboundEmailInput
	sequence   int64
	written    int64 // the number of the last change that was written
	changes    []change
	committing int // decisions and holds that wait until Temporal has them
}

// change is a change of state for the ledger.
type change struct {
	contract.RecordInput
	commits bool // what follows waits until the ledger was asked once
}

// number returns a change of state with a number after that of the one before it. The
// time is only a good guess at a number that no earlier run has reached: where one has,
// because a clock was wrong, the ledger says so and writeChange tries a higher number. So
// a run that was reset in the Web UI overrules the one it replaces, whatever clocks say.
func (q *ledgerQueue) number(in contract.RecordInput) contract.RecordInput {
	q.sequence = max(q.sequence+1, in.AtUnixMilli)
	in.Sequence = q.sequence
	return in
}

// after returns a number beyond n and all earlier numbers.
func (q *ledgerQueue) after(n int64) int64 {
	q.sequence = max(q.sequence, n) + 1
	return q.sequence
}

func (q *ledgerQueue) push(in contract.RecordInput) {
	q.changes = append(q.changes, change{RecordInput: q.number(in)})
}

func (q *ledgerQueue) empty() bool { return len(q.changes) == 0 }

// hasRow reports whether the ledger has a row for the email.
func (q *ledgerQueue) hasRow() bool { return q.in.Email.ID != 0 }

// writeChanges writes the queue, for as long as the workflow lives and once the email
// has a row.
func (q *ledgerQueue) writeChanges(ctx workflow.Context) {
	next := func() bool {
		return !q.empty() && q.hasRow() && (q.committing == 0 || q.changes[0].commits)
	}
	for workflow.Await(ctx, next) == nil {
		c := q.changes[0]
		c.Email, c.ReceivedAtUnixMilli = q.in.Email, q.in.ReceivedAtUnixMilli
		if c.Sequence <= q.written { // the one before it has got a higher number
			c.Sequence = q.after(q.written)
		}

		if err := q.writeChange(ctx, c); err != nil { // a bug: the ledger's row is stale, the email itself is not held up by it
			workflow.GetLogger(ctx).Error("record the state of an email", "state", c.State, "error", err)
		}
		q.changes = q.changes[1:]
	}
}

// maxRenumbered bounds how often one change is written under a higher number: each time
// only what a run that is gone has still written may have come in between.
const maxRenumbered = 10

// writeChange writes one change of state. A decision that waits for a change that commits
// goes on once the ledger was asked and has not overruled it.
func (q *ledgerQueue) writeChange(ctx workflow.Context, c change) error {
	record := attempts{name: "record", options: recordOptions, patient: true}
	if c.commits {
		record.options = commitOptions
	}

	for try := 1; ; try++ {
		var out *contract.RecordResult
		overruled := func() bool { return out != nil && out.OverruledBy != 0 }
		record.afterFirst = func(err error) {
			if c.commits && (err != nil || !overruled() || try == maxRenumbered) {
				q.committing--
				c.commits = false
			}
		}
		err := record.run(ctx, callOf(activity.record.RecordState, c.RecordInput, &out))
		q.written = c.Sequence
		switch {
		case err != nil || !overruled():
			return err
		case try == maxRenumbered:
			return errors.New("the ledger always has a later change of state")
		}

		c.Sequence = q.after(out.OverruledBy)
		if d := c.Decision; d != nil && d.Intent == 0 {
			c.Decision = nil // its row is there, and only an intent tells a repeat of it
		}
	}
}

// commit runs enter, which enters a state, and holds back what follows from it until
// Temporal has persisted it: nothing may follow from a decision, and no ledger may show
// a hold, that a repeated workflow task could undo. A fast attempt runs inside the
// worker, before the workflow task that asked for it is complete; when that task fails,
// because something new has come or the worker was killed, it is done over. Then another
// decision may come first, or one about a hold that only the ledger knows.
//
// An activity is begun when the task is complete, so writing to the ledger by one is all
// that it takes. Where the ledger has to wait for its turn, a timer ends the task, which
// Temporal fires up to a second late.
func (q *ledgerQueue) commit(ctx workflow.Context, enter func()) {
	if q.hasRow() && q.empty() {
		if enter(); !q.empty() {
			q.changes[0].commits = true
			q.committing++
		}
		return
	}

	q.committing++
	timer, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(timer, func(ctx workflow.Context) {
		summary := workflow.TimerOptions{Summary: "keep the decision"}
		_ = workflow.NewTimerWithOptions(ctx, time.Millisecond, summary).Get(ctx, nil) // nothing cancels it
		q.committing--
	})
	enter()
}

// awaitCommit waits until Temporal has the decision that was just taken, and the ledger
// as well if it is available.
func (q *ledgerQueue) awaitCommit(ctx workflow.Context) error {
	return workflow.Await(ctx, func() bool { return q.committing == 0 })
}
