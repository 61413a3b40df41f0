package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// ledgerQueue holds the changes of state that are not yet in the ledger, oldest
// first. The one writer keeps their order while the ledger is unavailable, and nothing
// but the end of the email waits for it.
type ledgerQueue struct {
	sequence int64
	written  int64 // the number of the last change that was written
	changes  []change
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

// queueChange queues the state for the ledger. by is the decision that led to it, nil
// for none; before and why are the state and the reason that it ended.
func (j *journal) queueChange(ctx workflow.Context, by *ruling, before contract.State, why contract.Reason) {
	if !j.hasRow() && by == nil {
		return
	}

	in := contract.RecordInput{
		Email:               j.in.Email,
		State:               j.state,
		Reason:              j.reason,
		Detail:              j.detail,
		AtUnixMilli:         workflow.Now(ctx).UnixMilli(),
		ReceivedAtUnixMilli: j.in.ReceivedAtUnixMilli,
		Before:              before,
		DecidedReason:       why,
		Routes:              j.routes,
		Inspected:           j.inspected,
		Routed:              j.routed,
		Findings:            j.quarantine.findings.takeUnwritten(),
	}
	if j.state == contract.Quarantined {
		in.Missing = j.quarantine.held.missing()
	}

	if by != nil {
		in.Decision, in.EditID, in.Verified = &by.Decision, by.editID, by.verified
		if by.record != nil {
			*by.record = j.ledger.number(in)
			return
		}
	}
	j.ledger.push(in)
}

// writeChanges writes the queue, for as long as the workflow lives and once the email
// has a row.
func (j *journal) writeChanges(ctx workflow.Context) {
	next := func() bool {
		return !j.ledger.empty() && j.hasRow() && (j.committing == 0 || j.ledger.changes[0].commits)
	}
	for workflow.Await(ctx, next) == nil {
		c := j.ledger.changes[0]
		c.Email, c.ReceivedAtUnixMilli = j.in.Email, j.in.ReceivedAtUnixMilli
		if c.Sequence <= j.ledger.written { // the one before it has got a higher number
			c.Sequence = j.ledger.after(j.ledger.written)
		}

		if err := j.writeChange(ctx, c); err != nil { // a bug: the ledger's row is stale, the email itself is not held up by it
			workflow.GetLogger(ctx).Error("record the state of an email", "state", c.State, "error", err)
		}
		j.ledger.changes = j.ledger.changes[1:]
	}
}

// maxRenumbered bounds how often one change is written under a higher number: each time
// only what a run that is gone has still written may have come in between.
const maxRenumbered = 10

// writeChange writes one change of state. A decision that waits for a change that commits
// goes on once the ledger was asked and has not overruled it.
func (j *journal) writeChange(ctx workflow.Context, c change) error {
	record := attempts{name: "record", options: recordOptions, patient: true}
	if c.commits {
		record.options = commitOptions
	}

	for try := 1; ; try++ {
		var out *contract.RecordResult
		overruled := func() bool { return out != nil && out.OverruledBy != 0 }
		record.afterFirst = func(err error) {
			if c.commits && (err != nil || !overruled() || try == maxRenumbered) {
				j.committing--
				c.commits = false
			}
		}
		err := record.run(ctx, callOf(activity.record.RecordState, c.RecordInput, &out))
		j.ledger.written = c.Sequence
		switch {
		case err != nil || !overruled():
			return err
		case try == maxRenumbered:
			return errors.New("the ledger always has a later change of state")
		}

		c.Sequence = j.ledger.after(out.OverruledBy)
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
func (j *journal) commit(ctx workflow.Context, enter func()) {
	if j.hasRow() && j.ledger.empty() {
		if enter(); !j.ledger.empty() {
			j.ledger.changes[0].commits = true
			j.committing++
		}
		return
	}

	j.committing++
	timer, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(timer, func(ctx workflow.Context) {
		summary := workflow.TimerOptions{Summary: "keep the decision"}
		_ = workflow.NewTimerWithOptions(ctx, time.Millisecond, summary).Get(ctx, nil) // nothing cancels it
		j.committing--
	})
	enter()
}

// awaitCommit waits until Temporal has the decision that was just taken, and the ledger
// as well if it is available.
func (j *journal) awaitCommit(ctx workflow.Context) error {
	return workflow.Await(ctx, func() bool { return j.committing == 0 })
}

// flushBeforeDelivery waits until the ledger knows what became of the findings, because
// a delivery asks it. Nearly all mail has none. An email that was let go without an
// inspection is refused by its delivery first.
func (j *journal) flushBeforeDelivery(ctx workflow.Context) {
	if !j.hasRow() || j.inspected.Content == "" || j.ledger.empty() && !j.quarantine.findings.dirty() {
		return
	}
	j.flush(ctx)
}

// flush writes everything that the ledger does not know yet, and waits for it.
func (j *journal) flush(ctx workflow.Context) {
	if j.quarantine.findings.dirty() {
		j.queueChange(ctx, nil, j.state, j.reason)
	}
	if written, err := workflow.AwaitWithTimeout(ctx, firstWait, j.ledger.empty); written || err != nil {
		return
	}

	w := j.showWait(ctx, contract.StorageUnavailable, "the ledger does not know yet what was decided")
	_ = workflow.Await(ctx, j.ledger.empty) // fails with the context alone
	j.endWait(ctx, w)
}
