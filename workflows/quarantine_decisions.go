package workflows

import (
	"errors"
	"strconv"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/reason"
)

// lookTime is how long a hold is fresh. A decision that comes while another hold
// is older, or was decided, is most likely meant for that one (a second click, a
// repeat after a lost answer): it must not release what nobody can have seen.
const lookTime = 5 * time.Second

// ruling is a decision on its way to be carried out.
type ruling struct {
	contract.Decision
	editID   int64
	replay   *contract.Replayed
	record   *contract.RecordInput // where it is not for the workflow to tell the ledger
	verified bool                  // Actor is who it was, and not what a sender claims
	person   string                // whom a verified Actor acts for; empty: Actor
}

// handleDecisions registers the update and the signals, which do the same.
func (e *inboundEmail) handleDecisions(ctx workflow.Context) error {
	workflow.Go(ctx, e.hear)
	return workflow.SetUpdateHandlerWithOptions(ctx, contract.UpdateDecide, e.decideUpdate,
		workflow.UpdateHandlerOptions{
			Validator:   e.admit,
			Description: "Decide about a held email: action approve, discard, retry or edit, with a note. Recorded as what its sender claims.",
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
	{contract.SignalRetry, contract.Retry, "runs the held step again and lets nothing pass"},
	{contract.SignalDiscard, contract.Discard, "ends the email; nothing more is sent"},
	{contract.SignalEdit, contract.Edited, "lays a change over the email and goes on from the step that it touches"},
}

// hear takes signals for as long as the workflow lives. One that comes late, twice
// or with too long a text changes nothing.
func (e *inboundEmail) hear(ctx workflow.Context) {
	next := workflow.NewSelector(ctx)
	for _, s := range signals {
		channel := workflow.GetSignalChannelWithOptions(ctx, s.name, workflow.SignalChannelOptions{Description: s.description})
		next.AddReceive(channel, func(c workflow.ReceiveChannel, _ bool) {
			var d contract.Decision
			if c.ReceiveAsync(&d) { // not when its input is no JSON object: such a signal is dropped
				e.heard(ctx, s, d)
				return
			}
			e.ignore(ctx, s, "its input is not a JSON object with the fields of a decision")
		})
	}
	next.AddReceive(e.hush, func(c workflow.ReceiveChannel, _ bool) { c.Receive(ctx, nil) }) // the last: after all signals
	for {
		next.Select(ctx)
	}
}

// heard carries a signal out, if there is something to decide.
func (e *inboundEmail) heard(ctx workflow.Context, s signal, d contract.Decision) {
	if d.Note == "" {
		d.Note = "none given (signal)"
	}
	d.Action, d.Via, d.Intent = s.action, contract.ViaSignal, 0
	if err := e.admit(ctx, d); err != nil {
		e.ignore(ctx, s, err.Error())
		return
	}
	d.Actor = contract.Claimed(d.Actor)
	if d.Action != contract.Edited {
		e.take(ctx, ruling{Decision: d})
		return
	}
	e.beside(ctx, func(ctx workflow.Context) {
		if _, err := e.decideEdit(ctx, d); err != nil {
			e.ignore(ctx, s, publicOf(err))
		}
	})
}

// ignore says, where people look, why a signal has changed nothing.
func (e *inboundEmail) ignore(ctx workflow.Context, s signal, why string) {
	workflow.GetLogger(ctx).Info("signal ignored", "signal", s.name, "why", why)
	e.trouble = "The signal `" + s.name + "` changed nothing: " + why + "."
	workflow.SetCurrentDetails(ctx, e.details())
}

// decideUpdate is the handler behind the update. It answers once the decision
// is in the ledger, or after two seconds when the ledger is away: the decision
// holds all the same.
func (e *inboundEmail) decideUpdate(ctx workflow.Context, d contract.Decision) (contract.DecisionResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx) // a requested cancellation changes nothing here either
	var missing int
	var record *contract.RecordInput
	var err error
	switch {
	case d.Intent != 0:
		missing, record, err = e.decideIntent(ctx, d)
	case d.Action == contract.Edited:
		d.Via, d.Actor = contract.ViaUpdate, contract.Claimed(d.Actor)
		missing, err = e.decideEdit(ctx, d)
	default:
		d.Via, d.Actor = contract.ViaUpdate, contract.Claimed(d.Actor)
		missing = e.take(ctx, ruling{Decision: d})
	}
	if err != nil {
		return contract.DecisionResult{}, err
	}
	out := contract.DecisionResult{State: e.state, Missing: missing, Record: record}
	if missing > 0 && d.Intent == 0 {
		out.Note = e.trouble
	}
	return out, e.kept(ctx)
}

// decideIntent carries out what one of our own programs has written down. Once
// taken, a repeat is answered and changes nothing. A record is what the sender tells
// the ledger.
func (e *inboundEmail) decideIntent(ctx workflow.Context, d contract.Decision) (missing int, record *contract.RecordInput, err error) {
	var out contract.IntentResult
	if !e.taken[d.Intent] {
		in := contract.IntentInput{Email: e.in.Email, Intent: d.Intent}
		if err := ask(ctx, holds.Intent, in, &out); err != nil {
			return 0, nil, refused(err)
		}
	}
	if out.Taken || e.taken[d.Intent] {
		return e.missing(), nil, nil
	}
	r := ruling{verified: true, person: out.Person, editID: out.EditID, replay: out.Replay, Decision: contract.Decision{
		Intent: d.Intent, Action: out.Action, Actor: out.Actor, Via: out.Via, From: out.From,
	}}
	if err := e.rule(ctx, r); err != nil { // somebody else may have decided in the meantime
		return 0, nil, temporal.NewNonRetryableApplicationError(err.Error(), string(fault.DecisionRefused), nil)
	}
	if other := e.heldBeyond(out.Only); other != "" {
		return 0, nil, temporal.NewNonRetryableApplicationError("it is held as "+string(other)+
			" as well, and "+string(out.Only)+" alone is approved for many: decide about it by itself", string(fault.DecisionRefused), nil)
	}
	if d.Records && e.endsWith(ctx, r) {
		r.record = new(contract.RecordInput)
	}
	return e.take(ctx, r), r.record, nil
}

// decideEdit keeps an edit that came past our programs, then carries it out.
func (e *inboundEmail) decideEdit(ctx workflow.Context, d contract.Decision) (missing int, err error) {
	e.saves++
	in := contract.SaveEditInput{
		Email: e.in.Email, Edit: *d.Edit, Actor: d.Actor, Note: d.Note,
		Key: workflow.GetInfo(ctx).WorkflowExecution.RunID + "/" + strconv.Itoa(e.saves),
	}
	var out contract.SaveEditResult
	if err := ask(ctx, ledger.SaveEdit, in, &out); err != nil {
		return 0, refused(err)
	}
	d.Edit, d.From = nil, out.From
	r := ruling{Decision: d, editID: out.EditID}
	if err := e.rule(ctx, r); err != nil {
		return 0, temporal.NewNonRetryableApplicationError(err.Error(), string(fault.DecisionRefused), nil)
	}
	return e.take(ctx, r), nil
}

// refused gives the failure of an activity behind a decision as its sender may see it.
func refused(err error) error {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NonRetryable() {
		return temporal.NewNonRetryableApplicationError(app.Message(), app.Type(), nil)
	}
	return temporal.NewNonRetryableApplicationError(
		"the ledger does not answer; nothing was decided", string(fault.StorageUnavailable), nil)
}

// publicOf gives the sentence of a failure that refused made.
func publicOf(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return "something went wrong inside Mailroom"
}

// unseen reports whether something is held for a reason that whoever decides now
// has hardly seen.
func (e *inboundEmail) unseen(now time.Time) bool {
	seen := map[contract.Reason]bool{}
	for _, r := range e.decided {
		seen[r] = true
	}
	for _, h := range e.held {
		if now.Sub(h.since) >= lookTime {
			for _, one := range h.holds {
				seen[one.Reason] = true
			}
		}
	}
	if len(seen) == 0 {
		return false
	}
	for _, h := range e.held {
		for _, one := range h.holds {
			if !seen[one.Reason] && now.Sub(h.since) < lookTime {
				return true
			}
		}
	}
	return false
}

// admit refuses what must not enter history. The sentences go to the operator.
func (e *inboundEmail) admit(ctx workflow.Context, d contract.Decision) error {
	if d.Intent != 0 {
		switch {
		case d != (contract.Decision{Intent: d.Intent, Records: d.Records}):
			return errors.New("an intent stands alone: it says what is decided, by whom and why")
		case len(e.held) == 0 && !e.taken[d.Intent]:
			return e.notHeld()
		}
		return nil
	}
	if err := contract.CheckDecision(d); err != nil {
		return err
	}
	if len(d.Actor) > contract.MaxActor {
		return errors.New("the actor has at most " + strconv.Itoa(contract.MaxActor) + " bytes")
	}
	d.Actor = contract.Claimed(d.Actor)
	return e.rule(ctx, ruling{Decision: d})
}

// rule refuses what the state of the email does not allow, whoever decides.
func (e *inboundEmail) rule(ctx workflow.Context, r ruling) error {
	switch {
	case len(e.held) == 0:
		return e.notHeld()
	case r.Action != contract.Discard && e.unseen(workflow.Now(ctx)):
		return errors.New("it was held a moment ago for another reason, " + string(e.reason) + ": look at it, then decide again")
	case r.Via == contract.ViaSystem && !e.awayOnly():
		return errors.New("it is held for something that time does not cure: a person has to decide")
	case r.Action == contract.Approve && e.approvedBy(r):
		return errors.New(e.approvedAlready(r))
	}
	return nil
}

// notHeld tells who comes second who came first.
func (e *inboundEmail) notHeld() error {
	why := "this email is not held: its state is " + string(e.state)
	if e.last != nil {
		why = reason.Decided(*e.last) + "; its state is " + string(e.state)
	}
	return errors.New(why)
}

// awayOnly reports whether the email is held for nothing but what was away.
func (e *inboundEmail) awayOnly() bool {
	for _, h := range e.held {
		for _, one := range h.holds {
			if !reason.Text(one.Reason).Away {
				return false
			}
		}
	}
	return true
}

// heldBeyond returns a reason other than only that something is held for; empty where
// there is none, or only is empty.
func (e *inboundEmail) heldBeyond(only contract.Reason) contract.Reason {
	for _, h := range e.held {
		for _, one := range h.holds {
			if only != "" && one.Reason != only {
				return one.Reason
			}
		}
	}
	return ""
}

// take carries a valid decision out, for everything that is held at that moment.
// Whoever decides second finds nothing held any more. An approval that others must
// follow changes nothing but their number, which it gives.
func (e *inboundEmail) take(ctx workflow.Context, r ruling) (missing int) {
	e.decisions++
	e.trouble, r.Edit = "", nil
	if r.Intent != 0 {
		e.taken[r.Intent] = true
	}
	if r.record != nil { // the ledger hears of it when Temporal has it, as of the answer
		e.carryOut(ctx, r)
		return 0
	}
	e.commit(ctx, commitVersion(ctx), func() {
		if r.Action == contract.Approve && r.Via != contract.ViaPolicy {
			missing = e.approve(ctx, r)
		}
		if missing > 0 {
			for _, h := range e.held {
				e.noteHold(h, contract.FindingOpen, h.approvals)
			}
			e.announce(ctx, &r, e.state)
			return
		}
		e.carryOut(ctx, r)
	})
	return missing
}

// carryOut does what was decided.
func (e *inboundEmail) carryOut(ctx workflow.Context, r ruling) {
	e.last = &contract.Decided{
		Action: r.Action, Actor: r.Actor, Via: r.Via, AtUnixMilli: workflow.Now(ctx).UnixMilli(), Intent: r.Intent,
	}
	e.noteRuling(r)
	if r.editID != 0 {
		e.edits = append(e.edits, r.editID)
		e.unwaive(ctx, r.From)
		e.judgeAgain(r.From)
	}
	if r.replay != nil {
		e.in.Replay, e.resend = r.replay, true
	}
	e.decided, e.refusals = nil, 0
	for _, h := range e.held {
		h.action, h.from = r.Action, r.From
		for _, one := range h.holds {
			e.decided = append(e.decided, one.Reason)
		}
	}
	e.held = nil
	if r.Action == contract.Discard {
		e.discarded = true
		e.enter(ctx, contract.Discarded, e.reason, e.detail, &r)
		return
	}
	e.enter(ctx, contract.Processing, "", "", &r)
	e.refresh(ctx) // another leg may still wait
}

// applyEdits lays what was decided over the email, before a step reads it again.
func (e *inboundEmail) applyEdits(ctx workflow.Context) error {
	for len(e.edits) > 0 {
		in := contract.ApplyEditInput{Email: e.in.Email, EditID: e.edits[0]}
		if err := e.tries(ctx, "apply edit", routeOptions, ledger.ApplyEdit, in, in, nil); err != nil {
			return err
		}
		e.edits = e.edits[1:]
	}
	return nil
}
