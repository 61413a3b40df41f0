package activities

import (
	"context"
	"slices"
	"strings"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// emailTries is how often one email is tried while Temporal or the ledger does not
// answer, with longer waits in between.
const emailTries = 3

// emailWork does with one email after another what a batch asks for.
type emailWork struct {
	deps   ReplaysDeps
	row    *ledger.ReplayRow
	intent int64
	ends   endGroup
}

// try does an email, several times while Temporal or the ledger does not answer.
func (w *emailWork) try(ctx context.Context, e *ledger.ReplayEmail) (result ledger.ReplayResult, err error) {
	for try := range emailTries {
		if result, err = w.tryOnce(ctx, e); err == nil || !fault.From(err).Temporary || try == emailTries-1 {
			return result, err
		}
		e.Again = true // it may have been taken
		if wait(ctx, time.Duration(1+2*try)*time.Second) != nil {
			return result, err
		}
	}
	return result, err
}

func decidedNow() ledger.ReplayResult {
	return ledger.ReplayResult{State: ledger.ItemDone, Code: ledger.ItemDecided}
}

func startedNow() ledger.ReplayResult {
	return ledger.ReplayResult{State: ledger.ItemDone, Code: ledger.ItemStarted}
}

func skipped(code ledger.ReplayCode, detail string) ledger.ReplayResult {
	return ledger.ReplayResult{State: ledger.ItemSkipped, Code: code, Detail: detail}
}

// tryOnce does one email, once.
func (w *emailWork) tryOnce(ctx context.Context, e *ledger.ReplayEmail) (ledger.ReplayResult, error) {
	if e.Again {
		if result, known, err := w.earlierResult(ctx, e); known || err != nil {
			return result, err
		}
	}
	code := outcomeOf(w.row, e.State, e.ContentRemoved)
	switch code {
	case ledger.ItemDecided:
		return w.sendDecision(ctx, e)
	case ledger.ItemStarted:
		return w.startWorkflow(ctx, e)
	case ledger.ItemBusy:
		return w.processUnheld(ctx, e)
	}
	return skipped(code, sentences[code]), nil
}

const foreignSentence = "another workflow has its workflow ID: look at that in the Temporal Web UI"

var sentences = map[ledger.ReplayCode]string{
	ledger.ItemBusy:           "it is being processed already",
	ledger.ItemNotHeld:        "it is not held: there is nothing to decide",
	ledger.ItemNotWaiting:     "it waits for no attempt: there is nothing to hold",
	ledger.ItemContentRemoved: "its content was removed by policy: there is nothing left to process",
	ledger.ItemDuplicate:      "another email has the same event",
}

// outcomeOf returns what becomes of an email in this state, as far as the ledger knows.
func outcomeOf(r *ledger.ReplayRow, state contract.State, removed bool) ledger.ReplayCode {
	switch {
	case state == contract.Duplicate:
		return ledger.ItemDuplicate
	case state == contract.Quarantined && r.Action == contract.Held:
		return ledger.ItemNotWaiting
	case state == contract.Quarantined, state == contract.Retrying && r.Action != contract.Approve:
		return ledger.ItemDecided
	case !state.Terminal():
		return ledger.ItemBusy
	case r.Action != ledger.ActionReplay || r.FromStep() == "":
		return ledger.ItemNotHeld
	case removed:
		return ledger.ItemContentRemoved
	}
	return ledger.ItemStarted
}

// earlierResult finds out whether an email that was claimed before was done.
func (w *emailWork) earlierResult(ctx context.Context, e *ledger.ReplayEmail) (result ledger.ReplayResult, known bool, err error) {
	took, err := w.deps.Decisions.TookIntent(ctx, e.ID, w.intent)
	if took || err != nil {
		return decidedNow(), took, err
	}
	if w.row.Action != ledger.ActionReplay || w.row.FromStep() == "" {
		return result, false, nil
	}
	execution, err := w.deps.Executions.Execution(ctx, e.WorkflowID)
	if err != nil {
		return result, false, err
	}
	return startedNow(), execution.Replay == w.row.ID, nil
}

// sendDecision sends the decision to the email's workflow. Where it is the email's end the
// ledger learns it from here: an attempt that is killed in between leaves a claim, and the
// next one gets the same answer.
func (w *emailWork) sendDecision(ctx context.Context, e *ledger.ReplayEmail) (ledger.ReplayResult, error) {
	if e.StartRefused { // no workflow can be asked
		_, err := w.deps.Decisions.DecideRefused(ctx, e.ID, w.intent)
		return decidedNow(), err
	}
	out, err := w.deps.Decider.Decide(ctx, e.WorkflowID, contract.Decision{
		Intent: w.intent, Records: w.row.Action == contract.Discard,
	})
	switch {
	case fault.Is(err, fault.NotFound):
		return w.processUnheld(ctx, e)
	case err == nil && out.Record != nil:
		err = w.ends.record(ctx, *out.Record)
	}
	return decidedNow(), err
}

// startWorkflow starts an email once more, at the step that was asked for: the run itself
// asks the ledger where its way begins (Standing.LoadStanding), and the result says so.
// Where a workflow runs under its ID the email has not quite come to its end, or another
// start was faster.
func (w *emailWork) startWorkflow(ctx context.Context, e *ledger.ReplayEmail) (ledger.ReplayResult, error) {
	from := w.row.FromStep()
	if !e.Stored || from == "" {
		from = contract.StepStore
	}

	started := startedNow()
	started.Detail = describeStart(from, e)
	err := w.deps.Starter.Start(ctx, e, contract.Replayed{ID: w.row.ID, From: from, NewEffect: w.row.NewEffect})
	if !fault.Is(err, fault.DecisionRefused) {
		return started, err
	}

	execution, err := w.deps.Executions.Execution(ctx, e.WorkflowID)
	switch {
	case err != nil:
		return ledger.ReplayResult{}, err
	case execution.Replay == w.row.ID:
		return started, nil
	case execution.Foreign:
		return skipped(ledger.ItemRefused, foreignSentence), nil
	case execution.Running && e.State.Terminal() && !e.Again:
		return ledger.ReplayResult{}, fault.New(fault.TemporalUnavailable, "its workflow is about to end")
	}
	return skipped(ledger.ItemBusy, sentences[ledger.ItemBusy]), nil
}

// processUnheld does an email that is being processed according to the ledger: it is, or
// its workflow was ended by force, or lost together with Temporal's data. In that case a
// replay starts it again. What waits in the inbox for its first start is left to it.
func (w *emailWork) processUnheld(ctx context.Context, e *ledger.ReplayEmail) (ledger.ReplayResult, error) {
	execution, err := w.deps.Executions.Execution(ctx, e.WorkflowID)
	switch {
	case err != nil:
		return ledger.ReplayResult{}, err
	case execution.Foreign:
		return skipped(ledger.ItemRefused, foreignSentence), nil
	case execution.Running, !execution.Forced && (execution.Ended || !e.Stored && !e.Started):
		return skipped(ledger.ItemBusy, sentences[ledger.ItemBusy]), nil
	case w.row.Action != ledger.ActionReplay:
		return skipped(ledger.ItemRefused, "its workflow is gone: replay it from routing or from the raw mail"), nil
	case e.ContentRemoved:
		return skipped(ledger.ItemContentRemoved, sentences[ledger.ItemContentRemoved]), nil
	}
	return w.startWorkflow(ctx, e)
}

// beginsAt returns where an email begins that a replay takes up at the step asked: there,
// or at the earliest step that is not known to be passed.
func beginsAt(asked, earliest contract.Step) contract.Step {
	switch {
	case asked == "" || earliest == "":
		return contract.StepStore
	case earliest.Before(asked):
		return earliest
	}
	return asked
}

// heldAgain lists what holds an email again once it comes to the step that found it.
func heldAgain(list []contract.Finding) []contract.Reason {
	var out []contract.Reason
	for _, f := range list {
		if f.Restored() && !slices.Contains(out, f.Reason) {
			out = append(out, f.Reason)
		}
	}
	return out
}

// describeStart says where the way of an email begins if that is not where it was asked to,
// and what holds it again; empty where neither is so.
func describeStart(asked contract.Step, e *ledger.ReplayEmail) string {
	var parts []string
	if from := beginsAt(asked, e.Earliest); from != asked {
		parts = append(parts, "begins earlier than asked, from "+places[from]+", which is not known to be passed")
	}
	if held := heldAgain(e.Open); len(held) > 0 {
		names := make([]string, len(held))
		for i, r := range held {
			names[i] = string(r)
		}
		parts = append(parts, "is held again as "+strings.Join(names, ", ")+", which has not been approved")
	}
	if len(parts) == 0 {
		return ""
	}
	return "it " + strings.Join(parts, "; it ")
}

// places names the steps that a replay may begin at, for people.
var places = map[contract.Step]string{
	contract.StepStore: "the raw mail", contract.StepInspect: "its inspection", contract.StepRoute: "routing",
}
