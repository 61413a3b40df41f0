package workflows

import (
	"errors"
	"strconv"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// ruling is a decision that is being applied.
type ruling struct {
	contract.Decision
	editID   int64
	replay   *contract.Replayed
	record   *contract.RecordInput // where the sender and not the workflow writes to the ledger
	verified bool                  // Actor came through our authentication, and is not what a sender claims
	person   string                // the person that a verified Actor acts for; empty: Actor
}

// decisions receives the decisions about an email and applies them. What was decided is
// kept through all runs, but for intents and saved.
type decisions struct {
	in         *contract.InboundEmailInput
	journal    *journal
	quarantine *quarantine

	count   int
	last    *contract.Decided
	about   []contract.Reason // what the last decision was about
	intents map[int64]bool    // that were applied in this run
	saved   int               // edits that were saved in this run
}

// register registers the update and the signals, which do the same.
func (d *decisions) register(ctx workflow.Context) error {
	workflow.Go(ctx, d.receiveSignals)
	return workflow.SetUpdateHandlerWithOptions(ctx, contract.UpdateDecide, d.decideUpdate,
		workflow.UpdateHandlerOptions{
			Validator:   d.admit,
			Description: "Decide about an email that is held or waits: action approve, discard, retry, edit or hold, with a note. Recorded as what its sender claims.",
		})
}

// signal is one way to decide without naming the action in the input.
type signal struct {
	name        string
	action      contract.Action
	description string
}

var signals = []signal{
	{contract.SignalApprove, contract.Approve, "lets pass what held the email and goes on"},
	{contract.SignalRetry, contract.Retry, "runs the held step again and lets nothing pass, or makes now the attempt that the email waits for"},
	{contract.SignalDiscard, contract.Discard, "ends the email; nothing more is sent"},
	{contract.SignalEdit, contract.Edited, "lays a change over the email and goes on from the step that it touches"},
	{contract.SignalHold, contract.Held, "keeps an email that waits for its next attempt, until a person approves it"},
}

// receiveSignals handles signals for as long as the workflow lives. A signal that comes
// late, twice or with too long a text changes nothing.
func (d *decisions) receiveSignals(ctx workflow.Context) {
	next := workflow.NewSelector(ctx)
	for _, s := range signals {
		channel := workflow.GetSignalChannelWithOptions(ctx, s.name, workflow.SignalChannelOptions{Description: s.description})
		next.AddReceive(channel, func(c workflow.ReceiveChannel, _ bool) {
			var in contract.Decision
			if c.ReceiveAsync(&in) { // not when its input is no JSON object: such a signal is dropped
				d.decideSignal(ctx, s, in)
				return
			}
			d.ignoreSignal(ctx, s, "its input is not a JSON object with the fields of a decision")
		})
	}
	next.AddReceive(d.quarantine.renewal.drained, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) }) // the last: after all signals

	for {
		next.Select(ctx)
	}
}

// decideSignal applies the decision of a signal, if there is something to decide.
func (d *decisions) decideSignal(ctx workflow.Context, s signal, in contract.Decision) {
	if in.Note == "" {
		in.Note = "none given (signal)"
	}
	in.Action, in.Via, in.Intent = s.action, contract.ViaSignal, 0
	if err := d.admit(ctx, in); err != nil {
		d.ignoreSignal(ctx, s, err.Error())
		return
	}

	in.Actor = contract.Claimed(in.Actor)
	if in.Action != contract.Edited {
		d.decide(ctx, ruling{Decision: in})
		return
	}
	d.quarantine.background.run(ctx, func(ctx workflow.Context) {
		if _, err := d.decideEdit(ctx, in); err != nil {
			d.ignoreSignal(ctx, s, publicOf(err))
		}
	})
}

// ignoreSignal shows people why a signal has changed nothing.
func (d *decisions) ignoreSignal(ctx workflow.Context, s signal, why string) {
	workflow.GetLogger(ctx).Info("signal ignored", "signal", s.name, "why", why)
	d.journal.trouble = "The signal `" + s.name + "` changed nothing: " + why + "."
	d.journal.publishDetails(ctx)
}

// decideUpdate handles the update. It answers once the decision is in the ledger, or
// after two seconds while the ledger is unavailable: the decision holds all the same.
func (d *decisions) decideUpdate(ctx workflow.Context, in contract.Decision) (contract.DecisionResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx) // a requested cancellation changes nothing here either
	var missing int
	var record *contract.RecordInput
	var err error
	switch {
	case in.Intent != 0:
		missing, record, err = d.decideIntent(ctx, in.Intent, in.Records)
	case in.Action == contract.Edited:
		in.Via, in.Actor = contract.ViaUpdate, contract.Claimed(in.Actor)
		missing, err = d.decideEdit(ctx, in)
	default:
		in.Via, in.Actor = contract.ViaUpdate, contract.Claimed(in.Actor)
		missing = d.decide(ctx, ruling{Decision: in})
	}
	if err != nil {
		return contract.DecisionResult{}, err
	}

	out := contract.DecisionResult{State: d.journal.state, Missing: missing, Record: record}
	if d.quarantine.discarded {
		out.Delivered = d.quarantine.deliveries.delivered()
	}
	if missing > 0 && in.Intent == 0 {
		out.Note = d.journal.trouble
	}
	return out, d.journal.ledger.awaitCommit(ctx)
}

// decideIntent applies a decision that one of our own programs has written down. A
// repeat of one that was applied is answered and changes nothing. A record is what
// the sender writes to the ledger.
func (d *decisions) decideIntent(ctx workflow.Context, intent int64, records bool) (missing int, record *contract.RecordInput, err error) {
	var out contract.IntentResult
	if !d.intents[intent] {
		in := contract.IntentInput{Email: d.in.Email, Intent: intent}
		if err := ask(ctx, callOf(activity.standing.LoadIntent, in, &out)); err != nil {
			return 0, nil, refusal(err)
		}
	}
	if out.Taken || d.intents[intent] {
		return d.quarantine.held.missing(), nil, nil
	}

	r := ruling{verified: true, person: out.Person, editID: out.EditID, replay: out.Replay, Decision: contract.Decision{
		Intent: intent, Action: out.Action, Actor: out.Actor, Via: out.Via, From: out.From,
	}}
	if err := d.checkRuling(ctx, r); err != nil { // another decision may have come in the meantime
		return 0, nil, temporal.NewNonRetryableApplicationError(err.Error(), string(fault.DecisionRefused), nil)
	}
	if err := d.changedSince(out.State); err != nil {
		return 0, nil, temporal.NewNonRetryableApplicationError(err.Error(), string(fault.DecisionRefused), nil)
	}
	if other := d.quarantine.held.beyond(out.Only); other != "" {
		return 0, nil, temporal.NewNonRetryableApplicationError("it is held as "+string(other)+
			" as well, and "+string(out.Only)+" alone is approved for many: decide about it by itself", string(fault.DecisionRefused), nil)
	}

	if records && d.endsWith(r) {
		r.record = new(contract.RecordInput)
	}
	return d.decide(ctx, r), r.record, nil
}

// decideEdit saves an edit that was sent straight to Temporal, then applies it.
func (d *decisions) decideEdit(ctx workflow.Context, decision contract.Decision) (missing int, err error) {
	d.saved++
	in := contract.SaveEditInput{
		Email: d.in.Email, Edit: *decision.Edit, Actor: decision.Actor, Note: decision.Note,
		Key: workflow.GetInfo(ctx).WorkflowExecution.RunID + "/" + strconv.Itoa(d.saved),
	}
	var out contract.SaveEditResult
	if err := ask(ctx, callOf(activity.edits.SaveEdit, in, &out)); err != nil {
		return 0, refusal(err)
	}

	decision.Edit, decision.From = nil, out.From
	r := ruling{Decision: decision, editID: out.EditID}
	if err := d.checkRuling(ctx, r); err != nil {
		return 0, temporal.NewNonRetryableApplicationError(err.Error(), string(fault.DecisionRefused), nil)
	}
	return d.decide(ctx, r), nil
}

// refusal returns the failure of an activity behind a decision as its sender may see it.
func refusal(err error) error {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NonRetryable() {
		return temporal.NewNonRetryableApplicationError(app.Message(), app.Type(), nil)
	}
	return temporal.NewNonRetryableApplicationError(
		"the ledger does not answer; nothing was decided", string(fault.StorageUnavailable), nil)
}

// publicOf returns the sentence of a failure that refusal has made.
func publicOf(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return unknownFailure
}

// decide applies a valid decision, to everything that is held at that moment or, where
// nothing is, to everything that waits. A second decision finds nothing of it any more. An approval that others must follow
// changes nothing but the number of approvals, and returns how many more it takes.
func (d *decisions) decide(ctx workflow.Context, r ruling) (missing int) {
	d.count++
	d.journal.trouble, r.Edit = "", nil
	if r.Intent != 0 {
		d.intents[r.Intent] = true
	}
	if r.record != nil { // the ledger is told when Temporal has it, as of the answer
		d.applyRuling(ctx, r)
		return 0
	}

	d.journal.ledger.commit(ctx, func() {
		if r.Action == contract.Approve && r.Via != contract.ViaPolicy {
			missing = d.quarantine.held.approve(r)
			if d.quarantine.held.needsSeveral() && !r.verified {
				d.journal.trouble = "The approval of " + r.Actor + " is " + notCounted + "."
			}
		}
		if missing > 0 {
			for _, h := range d.quarantine.held {
				d.quarantine.findings.recordHold(h, contract.FindingOpen, h.approvals)
			}
			d.journal.enterAgain(ctx, &r, d.journal.state)
			return
		}
		d.applyRuling(ctx, r)
	})
	return missing
}

// applyRuling does what was decided.
func (d *decisions) applyRuling(ctx workflow.Context, r ruling) {
	q := d.quarantine
	waits := d.journal.openToDecision()
	d.last = &contract.Decided{
		Action: r.Action, Actor: r.Actor, Via: r.Via, AtUnixMilli: workflow.Now(ctx).UnixMilli(), Intent: r.Intent,
	}
	if r.Action == contract.Held {
		d.holdWaits(ctx, r)
		return
	}

	q.findings.recordRuling(q.held, r)
	if r.editID != 0 {
		q.edits = append(q.edits, r.editID)
		q.waived.takeBack(r.From, d.in.Hold)
		q.findings.judgeAgain(r.From)
	}
	if r.replay != nil {
		d.in.Replay, q.deliveries.resend = r.replay, true
	}

	d.about, q.refusals = nil, 0
	if len(q.held) == 0 || r.Action == contract.Discard {
		for _, w := range waits {
			d.about = append(d.about, w.reason)
		}
		d.journal.interrupt(r.From)
	}
	for _, h := range q.held {
		h.action, h.from = r.Action, r.From
		for _, one := range h.holds {
			d.about = append(d.about, one.Reason)
		}
		if h.asked && r.Action == contract.Approve { // the approval of another hold is none of this one
			q.asked = nil
		}
	}
	q.held = nil

	if r.Action == contract.Discard {
		q.discarded, q.had = true, len(q.deliveries.delivered())
		d.journal.enter(ctx, contract.Discarded, d.journal.reason, d.journal.detail, &r)
		return
	}
	d.journal.enter(ctx, contract.Processing, "", "", &r)
	d.journal.updateState(ctx) // another delivery may still wait
}

// holdWaits has everything that waits for its next attempt held until a person approves
// it. An attempt that is being made comes to its end first.
func (d *decisions) holdWaits(ctx workflow.Context, r ruling) {
	q := d.quarantine
	q.asked = &contract.Hold{Reason: contract.ManualHold, Detail: "held by " + r.Actor + " while it waited for its next attempt"}
	q.findings.recordHold(q.askedHold(step{at: contract.StepRoute}), contract.FindingOpen, nil) // no attempt begins any more
	d.about = []contract.Reason{contract.ManualHold}
	d.journal.interrupt("")

	if len(q.held) > 0 { // it is shown as held for that
		d.journal.enterAgain(ctx, &r, d.journal.state)
		return
	}
	d.journal.enter(ctx, contract.Quarantined, q.asked.Reason, q.asked.Detail, &r)
}

// endsWith reports whether a decision is the email's end and the one thing that the
// ledger does not know of it yet, and nothing else is being done. Then all that follows
// from it is in the workflow task that takes it, and a sender that writes to the ledger
// itself saves a second one.
func (d *decisions) endsWith(r ruling) bool {
	return r.Action == contract.Discard && d.journal.ledger.hasRow() && d.journal.ledger.committing == 0 && d.journal.ledger.empty() &&
		d.quarantine.background.idle() && len(d.quarantine.held) > 0 && d.quarantine.allHeld()
}

// applyEdits lays over the email what was decided, before a step reads it again. A
// delivery never has an edit to wait for: every edit sends the email further back.
func (q *quarantine) applyEdits(ctx workflow.Context, s step) error {
	for len(q.edits) > 0 && s.delivery == nil {
		in := contract.ApplyEditInput{Email: q.in.Email, EditID: q.edits[0]}
		a := attempts{name: "apply edit", options: routeOptions, journal: q.journal}
		if err := a.run(ctx, effectOf(activity.edits.ApplyEdit, in)); err != nil {
			return err
		}
		q.edits = q.edits[1:]
	}
	return nil
}

// background counts the coroutines that the way of the email does not wait for, but for a
// new run.
type background int

// run runs one of them.
func (b *background) run(ctx workflow.Context, work func(workflow.Context)) {
	*b++
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer func() { *b-- }()
		work(ctx)
	})
}

// idle reports whether none is left.
func (b *background) idle() bool { return *b == 0 }
