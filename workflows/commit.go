package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// changeCommit guards the wait for a decision to be kept, and from 2 on that it is
// the ledger's answer that is waited for.
const changeCommit = "commit-decisions"

func commitVersion(ctx workflow.Context) workflow.Version {
	return workflow.GetVersion(ctx, changeCommit, workflow.DefaultVersion, 2)
}

// commit lets nothing follow from a decision, and nobody read of a hold, before
// Temporal has it: tell tells the ledger. What runs inside the worker, the fast tries,
// runs before the workflow task that asked for it is complete; when that fails, because
// something new has come or the worker was killed, the task is done over. Then another
// decision may come first, or one about a hold that only the ledger knows.
//
// An activity is begun when the task is complete, so telling the ledger by one is all
// that it takes. Where the ledger has to wait for its turn, a timer ends the task,
// which Temporal lets ring up to a second late.
func (e *inboundEmail) commit(ctx workflow.Context, version workflow.Version, tell func()) {
	if version >= 2 && e.in.Email.ID != 0 && e.ledger.empty() {
		if tell(); !e.ledger.empty() {
			e.ledger.queue[0].commits = true
			e.committing++
		}
		return
	}
	if version >= 1 {
		e.committing++
		ctx, _ := workflow.NewDisconnectedContext(ctx)
		workflow.Go(ctx, func(ctx workflow.Context) {
			summary := workflow.TimerOptions{Summary: "keep the decision"}
			_ = workflow.NewTimerWithOptions(ctx, time.Millisecond, summary).Get(ctx, nil) // nothing cancels it
			e.committing--
		})
	}
	tell()
}

// changeEnds guards the end of an email in the workflow task that takes the decision.
const changeEnds = "end-with-decision"

// endsWith reports whether a decision is the email's end and the one thing that the
// ledger has yet to hear of it, and nothing is under way besides. Then all that follows
// from it is in the workflow task that takes it, and a sender that tells the ledger
// itself saves a second one.
func (e *inboundEmail) endsWith(ctx workflow.Context, r ruling) bool {
	return r.Action == contract.Discard && e.in.Email.ID != 0 && e.committing == 0 && e.ledger.empty() &&
		e.aside == 0 && e.allHeld() && workflow.GetVersion(ctx, changeEnds, workflow.DefaultVersion, 1) >= 1
}

// kept waits until Temporal has the decision that was just taken, and the ledger as well
// if it is there.
func (e *inboundEmail) kept(ctx workflow.Context) error {
	if commitVersion(ctx) < 2 {
		_, err := workflow.AwaitWithTimeout(ctx, 3*time.Second, e.ledger.empty)
		return err
	}
	return workflow.Await(ctx, func() bool { return e.committing == 0 })
}
