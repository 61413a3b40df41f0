package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

const stepEnrol = "enrol"

// An email under the id of a conflict waits for the one that took the event id
// first: that came to Temporal before it, and may come to the ledger after it.
// Once firstPatience has been waited for in vain, with the ledger there, the first
// is not going to come, and there is nothing that this one conflicts with.
const (
	firstPatience = 15 * time.Minute
	firstAsk      = time.Minute // the longest wait between two looks
)

// enrolled gives an email that Temporal accepted its row, before anything else is
// done with it. It gives false when there is nothing to carry: another workflow
// carries the email, or a person gave up what cannot be read.
func (e *inboundEmail) enrolled(ctx workflow.Context) bool {
	if e.in.Carried == nil {
		return true
	}
	if e.pass(ctx, step{at: stepEnrol, run: e.enrol}) == passed {
		return !e.elsewhere
	}
	return e.bury(ctx)
}

// enrol gets the row. It fails only for good.
func (e *inboundEmail) enrol(ctx workflow.Context) ([]contract.Hold, error) {
	in := e.enrolInput()
	out, err := e.tryEnrol(ctx, in)
	if err == nil && out.Early {
		out, err = e.awaitFirst(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	e.adopt(ctx, out)
	return nil, nil
}

func (e *inboundEmail) enrolInput() contract.EnrolInput {
	return contract.EnrolInput{
		Email: e.in.Email, ReceivedAtUnixMilli: e.in.ReceivedAtUnixMilli, Hold: e.in.Hold, Carried: *e.in.Carried,
	}
}

// tryEnrol is step without an end to its patience: no person can help an email
// whose ledger is away, and none could find it there.
func (e *inboundEmail) tryEnrol(ctx workflow.Context, in contract.EnrolInput) (contract.EnrolResult, error) {
	var out contract.EnrolResult
	a := attempts{name: stepEnrol, options: enrolOptions, journal: e.journal, patient: true}
	err := a.run(ctx, callOf(activity.enrol.Enrol, in, &out))
	return out, err
}

// awaitFirst looks again until the email that took the event id is in the ledger,
// or firstPatience is over.
func (e *inboundEmail) awaitFirst(ctx workflow.Context, in contract.EnrolInput) (contract.EnrolResult, error) {
	w := e.journal.showWait(ctx, contract.IDConflict, stepEnrol+": the email that took the event id first is not in the ledger yet")
	defer e.journal.endWait(ctx, w)
	pause, waited := firstWait, time.Duration(0)
	for {
		summary := workflow.TimerOptions{Summary: "before the next look: " + stepEnrol}
		if err := workflow.NewTimerWithOptions(ctx, pause, summary).Get(ctx, nil); err != nil {
			return contract.EnrolResult{}, err
		}
		waited += pause
		pause = min(2*pause, firstAsk)
		in.First = waited >= firstPatience
		out, err := e.tryEnrol(ctx, in)
		if err != nil || !out.Early {
			return out, err
		}
	}
}

// adopt goes on with the row, and lets go of the body: the row has it.
func (e *inboundEmail) adopt(ctx workflow.Context, out contract.EnrolResult) {
	*e.in.Carried = contract.Carried{} // whoever else holds the pointer holds no body any more
	e.in.Carried = nil
	if out.Elsewhere {
		e.elsewhere = true
		return
	}
	e.in.Email, e.in.Hold = out.Email, out.Hold
	if out.ReceivedAtUnixMilli != 0 {
		e.in.ReceivedAtUnixMilli = out.ReceivedAtUnixMilli
	}
	if out.State == contract.Retrying || out.State == contract.Quarantined { // says an earlier workflow that is gone
		e.journal.ledger.push(contract.RecordInput{
			State: e.journal.state, Reason: e.journal.reason, Detail: e.journal.detail, AtUnixMilli: workflow.Now(ctx).UnixMilli(), Before: out.State,
		})
	}
	e.journal.publishDetails(ctx)
}

// bury gives an email that was discarded before it had a row one without a body,
// so that the decision is in the ledger and a copy of the event finds it known. It
// gives true when the row under this workflow's id is that of another body, which
// nobody decided about and nobody else can carry.
func (e *inboundEmail) bury(ctx workflow.Context) bool {
	in := e.enrolInput()
	in.Discarded, in.Carried.Body = true, nil
	e.in.Carried.Body = nil
	out, err := e.tryEnrol(ctx, in)
	if err != nil { // a bug: the decision stays in the history alone
		workflow.GetLogger(ctx).Error("write the row of a discarded email", "error", err)
		return false
	}
	if out.OtherBody {
		e.quarantine.discarded, e.journal.ledger.changes = false, nil
		e.adopt(ctx, out)
		e.journal.enter(ctx, contract.Processing, "", "", nil)
		return true
	}
	e.adopt(ctx, out)
	return false
}
