package workflows

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// held is one step that waits for a person.
type held struct {
	holds  []contract.Hold
	since  time.Time
	action contract.Action // empty until somebody decides
}

// lookTime is how long a hold is fresh. A decision that comes while another hold
// is older, or was decided, is most likely meant for that one (a second click, a
// repeat after a lost answer): it must not release what nobody can have seen.
const lookTime = 5 * time.Second

// again are the reasons that nobody can waive: to approve such a hold is to run
// the step once more, because without it there is nothing to go on with.
var again = map[contract.Reason]bool{
	contract.Unroutable:            true,
	contract.DownstreamRejected:    true,
	contract.DownstreamExhausted:   true,
	contract.DownstreamUnavailable: true,
	contract.AmbiguousEffect:       true,
	contract.StorageUnavailable:    true,
	contract.Internal:              true,
}

// pass runs a step until it lets the email go on, holding the email for a person
// as often as that takes. It gives false when the email was discarded.
func (e *inboundEmail) pass(ctx workflow.Context, name string, run func(workflow.Context) ([]contract.Hold, error)) bool {
	for {
		e.step = name
		holds, err := run(ctx)
		if e.discarded {
			return false
		}
		if err != nil {
			holds = []contract.Hold{{Reason: reasonOf(err, holdReasons), Detail: sentenceOf(err)}}
		}
		holds = slices.DeleteFunc(holds, func(h contract.Hold) bool { return e.waived[h.Reason] })
		if len(holds) == 0 {
			return true
		}
		switch e.hold(ctx, holds) {
		case contract.Discard:
			return false
		case contract.Approve:
			if e.waive(name, holds) {
				return true
			}
		}
	}
}

// hold waits for a person and gives what was decided.
func (e *inboundEmail) hold(ctx workflow.Context, holds []contract.Hold) contract.Action {
	h := &held{holds: holds, since: workflow.Now(ctx)}
	e.held = append(e.held, h)
	e.refresh(ctx)
	if err := workflow.Await(ctx, func() bool { return h.action != "" || e.discarded }); err != nil || e.discarded {
		return contract.Discard // the context of a leg ends only when the email is discarded
	}
	return h.action
}

// waive notes that a person let these reasons pass. It gives false when the step
// has to run again: one of them cannot be waived, or it is the step's own result
// that has to change (no route was looked for while every recipient was foreign).
func (e *inboundEmail) waive(step string, holds []contract.Hold) bool {
	on := true
	for _, h := range holds {
		if again[h.Reason] {
			on = false
			continue
		}
		e.waived[h.Reason] = true
		if h.Reason == contract.RecipientForeign && step == stepRoute {
			on = false
		}
	}
	return on
}

// released reports whether a person let content go that inspection had held.
func (e *inboundEmail) released() bool {
	for _, r := range []contract.Reason{
		contract.Infected, contract.Unscannable, contract.ScannerUnavailable, contract.TooLarge,
		contract.TypeDenied, contract.AttachmentMismatch,
	} {
		if e.waived[r] {
			return true
		}
	}
	return false
}

// handleDecisions registers the update and the signals, which do the same.
func (e *inboundEmail) handleDecisions(ctx workflow.Context) error {
	workflow.Go(ctx, e.hear)
	return workflow.SetUpdateHandlerWithOptions(ctx, contract.UpdateDecide, e.decideUpdate,
		workflow.UpdateHandlerOptions{
			Validator:   e.validate,
			Description: "Decide about a held email: action approve, discard or retry, with a note.",
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
			}
		})
	}
	for {
		next.Select(ctx)
	}
}

// heard carries a signal out, if there is something to decide.
func (e *inboundEmail) heard(ctx workflow.Context, s signal, d contract.Decision) {
	d.Action, d.Via = s.action, "signal"
	if d.Actor == "" {
		d.Actor = "unnamed (signal)"
	}
	if d.Note == "" {
		d.Note = "none given (signal)"
	}
	if err := e.validate(ctx, d); err != nil {
		workflow.GetLogger(ctx).Info("signal ignored", "signal", s.name, "why", err.Error())
		return
	}
	e.decide(ctx, d)
}

// decideUpdate is the handler behind the update. It answers once the decision
// is in the ledger, or after a few seconds when the ledger is away: the
// decision holds all the same.
func (e *inboundEmail) decideUpdate(ctx workflow.Context, d contract.Decision) (contract.DecisionResult, error) {
	if d.Via == "" {
		d.Via = "update"
	}
	if d.Actor == "" {
		d.Actor = "unnamed (update)"
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx) // a requested cancellation changes nothing here either
	e.decide(ctx, d)
	after := contract.DecisionResult{State: e.state}
	if _, err := workflow.AwaitWithTimeout(ctx, 3*time.Second, e.ledger.empty); err != nil {
		return after, err
	}
	return after, nil
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

// validate refuses what must not enter history. The sentences go to the operator.
func (e *inboundEmail) validate(ctx workflow.Context, d contract.Decision) error {
	switch {
	case !slices.Contains(contract.Actions, d.Action):
		return errors.New("unknown action: it is one of " + join(contract.Actions))
	case len(e.held) == 0:
		return errors.New("this email is not held: its state is " + string(e.state))
	case d.Action != contract.Discard && e.unseen(workflow.Now(ctx)):
		return errors.New("it was held a moment ago for another reason, " + string(e.reason) + ": look at it, then decide again")
	case strings.TrimSpace(d.Note) == "":
		return errors.New("a note is missing: say why")
	case len(d.Note) > contract.MaxNote:
		return errors.New("the note is longer than " + strconv.Itoa(contract.MaxNote) + " bytes")
	case len(d.Actor) > contract.MaxActor:
		return errors.New("the actor is longer than " + strconv.Itoa(contract.MaxActor) + " bytes")
	}
	return nil
}

// decide carries a valid decision out, for everything that is held at that
// moment. Whoever decides second finds nothing held any more.
func (e *inboundEmail) decide(ctx workflow.Context, d contract.Decision) {
	e.decisions++
	e.decided = nil
	for _, h := range e.held {
		h.action = d.Action
		for _, one := range h.holds {
			e.decided = append(e.decided, one.Reason)
		}
	}
	e.held = nil
	if d.Action == contract.Discard {
		e.discarded = true
		e.enter(ctx, contract.Discarded, e.reason, e.detail, &d)
		return
	}
	e.enter(ctx, contract.Processing, "", "", &d)
	e.refresh(ctx) // another leg may still wait
}

func join(actions []contract.Action) string {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}
