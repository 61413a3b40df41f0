package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// wait is one step that waits for a dependency which is unavailable.
type wait struct {
	reason contract.Reason
	detail string
	// stop ends the wait for a decision; nil: people cannot decide about it, because the
	// ledger has to know something first.
	stop workflow.CancelFunc
	// by is the decision that ended it; nil: none.
	by *interruption
}

// interruption is the failure of a step whose wait a decision has ended.
type interruption struct {
	from contract.Step // the step that the decision sends the email back to, if not this one
}

func (*interruption) Error() string { return "a decision ended the wait for the next attempt" }

// openToDecision returns the waits that people can decide about.
func (j *journal) openToDecision() []*wait {
	var open []*wait
	for _, w := range j.waits {
		if w.stop != nil {
			open = append(open, w)
		}
	}
	return open
}

// interrupt ends every wait that people can decide about. A wait ends at once, but for an
// attempt that is being made: that one ends by itself first, so that no other is made
// at the same time.
func (j *journal) interrupt(from contract.Step) {
	for _, w := range j.openToDecision() {
		w.by = &interruption{from: from}
		j.remove(w)
		w.stop()
	}
}

// wait makes the durable attempts after one that failed with err, while the state of the
// email shows that it waits. A decision about that ends them: then the error is an
// *interruption, unless the attempt that was being made came to an end that counts.
func (a attempts) wait(ctx workflow.Context, c call, err error) error {
	if a.decidable && a.journal.quarantine.asked != nil { // it was decided about while this attempt was made
		return &interruption{}
	}

	failure := a.failed(err)
	w := &wait{reason: reasonOf(failure, waitReasons), detail: sentenceOf(failure)}
	waiting := ctx
	if a.decidable {
		waiting, w.stop = workflow.WithCancel(ctx)
	}

	a.journal.showWait(ctx, w)
	err = a.retry(waiting, c, err)
	a.journal.endWait(ctx, w)
	if w.by == nil {
		return a.failed(err)
	}

	// What follows from the decision waits until Temporal has it.
	if err := a.journal.ledger.awaitCommit(ctx); err != nil {
		return a.failed(err)
	}
	if failure := a.failed(err); failure != nil && !interrupted(err, failure) {
		return failure
	} else if failure == nil {
		return nil
	}
	return w.by
}

// interrupted reports whether attempts that a decision has ended are over without a result
// of their own: none was being made, it may end better next time, or the decision itself
// is why nothing was sent.
func interrupted(err, failure error) bool {
	var canceled *temporal.CanceledError
	return errors.As(err, &canceled) || curable(err) || codeOf(failure) == fault.NotReleased
}
