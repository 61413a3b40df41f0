package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

const stepBackfill = "backfill"

// An email under the id of a conflict waits for the one that took the event id first:
// that came to Temporal before it, and may come to the ledger after it. Once
// firstPatience is over while the ledger was available, the first is not going to
// come, and there is nothing that this one conflicts with.
const (
	firstPatience = 15 * time.Minute
	firstPause    = time.Minute // the longest pause between two attempts
)

// backfilled writes the row of an email that Temporal accepted, before anything else is
// done with it. It returns false when there is nothing to process: another workflow
// processes the email, or a person gave up one that cannot be read.
func (e *inboundEmail) backfilled(ctx workflow.Context) bool {
	if e.in.Fallback == nil {
		return true
	}
	if e.pass(ctx, step{at: stepBackfill, run: e.row.backfill}) == passed {
		return !e.row.duplicate
	}
	if !e.row.tombstone(ctx) {
		return false
	}

	e.quarantine.discarded = false
	e.journal.enter(ctx, contract.Processing, "", "", nil)
	return true
}

// missingRow is the row that an email does not have yet which Temporal accepted while the
// database was unavailable.
type missingRow struct {
	in        *contract.InboundEmailInput
	journal   *journal
	duplicate bool // another workflow processes the email
}

// backfill waits for the row. It fails only for good.
func (r *missingRow) backfill(ctx workflow.Context) ([]contract.Hold, error) {
	in := r.input()
	out, err := r.write(ctx, in)
	if err == nil && out.FirstMissing {
		out, err = r.awaitFirst(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	r.accept(ctx, out)
	return nil, nil
}

func (r *missingRow) input() contract.BackfillInput {
	return contract.BackfillInput{
		Email: r.in.Email, ReceivedAtUnixMilli: r.in.ReceivedAtUnixMilli, Hold: r.in.Hold, Fallback: *r.in.Fallback,
	}
}

// write waits for the ledger as long as it takes: no person can help an email
// while the ledger is unavailable, and none could find it there.
func (r *missingRow) write(ctx workflow.Context, in contract.BackfillInput) (contract.BackfillResult, error) {
	var out contract.BackfillResult
	a := attempts{name: stepBackfill, options: backfillOptions, journal: r.journal, patient: true}
	err := a.run(ctx, callOf(activity.backfill.Backfill, in, &out))
	return out, err
}

// awaitFirst tries again until the email that took the event id is in the ledger, or
// firstPatience is over.
func (r *missingRow) awaitFirst(ctx workflow.Context, in contract.BackfillInput) (contract.BackfillResult, error) {
	w := &wait{reason: contract.IDConflict, detail: stepBackfill + ": the email that took the event id first is not in the ledger yet"}
	r.journal.showWait(ctx, w)
	defer r.journal.endWait(ctx, w)

	pause, waited := firstWait, time.Duration(0)
	for {
		summary := workflow.TimerOptions{Summary: "before the next attempt: " + stepBackfill}
		if err := workflow.NewTimerWithOptions(ctx, pause, summary).Get(ctx, nil); err != nil {
			return contract.BackfillResult{}, err
		}

		waited += pause
		pause = min(2*pause, firstPause)
		in.TakeEventID = waited >= firstPatience
		out, err := r.write(ctx, in)
		if err != nil || !out.FirstMissing {
			return out, err
		}
	}
}

// accept continues with the row, and drops the body, which the row has.
func (r *missingRow) accept(ctx workflow.Context, out contract.BackfillResult) {
	*r.in.Fallback = contract.FallbackEvent{} // no copy of the pointer keeps the body
	r.in.Fallback = nil
	if out.Duplicate {
		r.duplicate = true
		return
	}

	r.in.Email, r.in.Hold = out.Email, out.Hold
	if out.ReceivedAtUnixMilli != 0 {
		r.in.ReceivedAtUnixMilli = out.ReceivedAtUnixMilli
	}
	if out.State == contract.Retrying || out.State == contract.Quarantined { // the state of an earlier workflow that is gone
		r.journal.ledger.push(contract.RecordInput{
			State: r.journal.state, Reason: r.journal.reason, Detail: r.journal.detail,
			AtUnixMilli: workflow.Now(ctx).UnixMilli(), Before: out.State,
		})
	}
	r.journal.publishDetails(ctx)
}

// tombstone writes a row without a body for an email that was discarded before
// it had a row, so that the decision is in the ledger and a copy of the event finds it
// known. It returns true when the row under this workflow's id is that of another body,
// about which nothing was decided and which no other workflow can process.
func (r *missingRow) tombstone(ctx workflow.Context) bool {
	in := r.input()
	in.Discarded, in.Fallback.Body = true, nil
	r.in.Fallback.Body = nil
	out, err := r.write(ctx, in)
	if err != nil { // a bug: the decision stays in the history alone
		workflow.GetLogger(ctx).Error("write the row of a discarded email", "error", err)
		return false
	}

	if out.OtherBody {
		r.journal.ledger.changes = nil
	}
	r.accept(ctx, out)
	return out.OtherBody
}
