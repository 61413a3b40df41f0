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
	if e.pass(ctx, step{at: stepBackfill, run: e.backfill}) == passed {
		return !e.duplicate
	}
	return e.backfillTombstone(ctx)
}

// backfill waits for the row. It fails only for good.
func (e *inboundEmail) backfill(ctx workflow.Context) ([]contract.Hold, error) {
	in := backfillInput(e.in)
	out, err := tryBackfill(ctx, e.journal, in)
	if err == nil && out.FirstMissing {
		out, err = awaitFirst(ctx, e.journal, in)
	}
	if err != nil {
		return nil, err
	}
	e.takeRow(ctx, out)
	return nil, nil
}

// backfillInput returns what the ledger needs for a row.
func backfillInput(in *contract.InboundEmailInput) contract.BackfillInput {
	return contract.BackfillInput{
		Email: in.Email, ReceivedAtUnixMilli: in.ReceivedAtUnixMilli, Hold: in.Hold, Fallback: *in.Fallback,
	}
}

// tryBackfill waits for the ledger as long as it takes: no person can help an email
// while the ledger is unavailable, and none could find it there.
func tryBackfill(ctx workflow.Context, j *journal, in contract.BackfillInput) (contract.BackfillResult, error) {
	var out contract.BackfillResult
	a := attempts{name: stepBackfill, options: backfillOptions, journal: j, patient: true}
	err := a.run(ctx, callOf(activity.backfill.Backfill, in, &out))
	return out, err
}

// awaitFirst tries again until the email that took the event id is in the ledger, or
// firstPatience is over.
func awaitFirst(ctx workflow.Context, j *journal, in contract.BackfillInput) (contract.BackfillResult, error) {
	w := j.showWait(ctx, contract.IDConflict, stepBackfill+": the email that took the event id first is not in the ledger yet")
	defer j.endWait(ctx, w)

	pause, waited := firstWait, time.Duration(0)
	for {
		summary := workflow.TimerOptions{Summary: "before the next attempt: " + stepBackfill}
		if err := workflow.NewTimerWithOptions(ctx, pause, summary).Get(ctx, nil); err != nil {
			return contract.BackfillResult{}, err
		}

		waited += pause
		pause = min(2*pause, firstPause)
		in.TakeEventID = waited >= firstPatience
		out, err := tryBackfill(ctx, j, in)
		if err != nil || !out.FirstMissing {
			return out, err
		}
	}
}

// takeRow continues with the row, and drops the body, which the row has.
func (e *inboundEmail) takeRow(ctx workflow.Context, out contract.BackfillResult) {
	*e.in.Fallback = contract.FallbackEvent{} // no copy of the pointer keeps the body
	e.in.Fallback = nil
	if out.Duplicate {
		e.duplicate = true
		return
	}

	e.in.Email, e.in.Hold = out.Email, out.Hold
	if out.ReceivedAtUnixMilli != 0 {
		e.in.ReceivedAtUnixMilli = out.ReceivedAtUnixMilli
	}
	if out.State == contract.Retrying || out.State == contract.Quarantined { // the state of an earlier workflow that is gone
		e.journal.ledger.push(contract.RecordInput{
			State: e.journal.state, Reason: e.journal.reason, Detail: e.journal.detail,
			AtUnixMilli: workflow.Now(ctx).UnixMilli(), Before: out.State,
		})
	}
	e.journal.publishDetails(ctx)
}

// backfillTombstone writes a row without a body for an email that was discarded before
// it had a row, so that the decision is in the ledger and a copy of the event finds it
// known. It returns true when the row under this workflow's id is that of another body,
// about which nothing was decided and which no other workflow can process.
func (e *inboundEmail) backfillTombstone(ctx workflow.Context) bool {
	in := backfillInput(e.in)
	in.Discarded, in.Fallback.Body = true, nil
	e.in.Fallback.Body = nil
	out, err := tryBackfill(ctx, e.journal, in)
	if err != nil { // a bug: the decision stays in the history alone
		workflow.GetLogger(ctx).Error("write the row of a discarded email", "error", err)
		return false
	}

	if out.OtherBody {
		e.quarantine.discarded, e.journal.ledger.changes = false, nil
		e.takeRow(ctx, out)
		e.journal.enter(ctx, contract.Processing, "", "", nil)
		return true
	}
	e.takeRow(ctx, out)
	return false
}
