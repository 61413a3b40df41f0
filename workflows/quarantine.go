package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// held is one step, or one leg, that waits for a person.
type held struct {
	at    contract.Step
	name  string // of the step, for people
	leg   *leg   // of StepDeliver
	holds []contract.Hold
	since time.Time

	plan      *contract.HoldPlan // nil in runs that began before there were plans
	approvals []contract.Approval
	reminders int  // how many there were
	level     int  // of the last of them
	due       bool // its deadline has passed

	verifiedOnly bool // only verified approvals count

	action contract.Action // empty until somebody decides
	from   contract.Step   // the step that the decision takes the email up at, if not this one
}

// outcome is how a step, or the email's whole way, came out. Where several legs
// come out differently, the greatest counts.
type outcome int

const (
	passed outcome = iota // the email goes on
	backed                // a decision takes it up at an earlier step, e.back
	anew                  // the wait goes on in a new run
	ended                 // the email is discarded
)

// pass runs a step until it lets the email go on, holding the email for a person
// as often as that takes. l is the leg of a delivery, else nil.
func (e *inboundEmail) pass(ctx workflow.Context, at contract.Step, l *leg,
	run func(workflow.Context) ([]contract.Hold, error)) outcome {
	name := stepName(at, l)
	h := e.goesOn(at, l)
	for {
		e.step = name
		if h == nil {
			holds, err := e.try(ctx, l, run)
			switch {
			case e.discarded:
				return ended
			case ctx.Err() != nil: // another leg took the email back
				return backed
			case err != nil && l != nil && e.refusedToLeave(ctx, err):
				return backed
			case err != nil:
				holds = []contract.Hold{{Reason: reasonOf(err, holdReasons), Detail: sentenceOf(err)}}
			}
			holds = slices.DeleteFunc(holds, func(h contract.Hold) bool { return e.waived[h.Reason] })
			if holds = e.restored(at, holds); len(holds) == 0 {
				e.passedAt(at)
				return passed
			}
			h = &held{at: at, name: name, leg: l, holds: holds}
		}
		out := e.hold(ctx, h)
		switch {
		case out != passed:
			return out
		case h.from.Before(at):
			e.back = h.from
			return backed
		case h.action == contract.Approve && e.waive(at, h.holds):
			e.passedAt(at)
			return passed
		}
		h = nil
	}
}

// try runs a step, once the edits that were decided on lie over the email. A leg
// never has one to wait for: every edit takes the email back further.
func (e *inboundEmail) try(ctx workflow.Context, l *leg, run func(workflow.Context) ([]contract.Hold, error)) ([]contract.Hold, error) {
	if l == nil {
		if err := e.applyEdits(ctx); err != nil {
			return nil, err
		}
	}
	return run(ctx)
}

func stepName(at contract.Step, l *leg) string {
	if l != nil {
		return "deliver to " + l.destination
	}
	return string(at)
}

// goesOn gives the hold that the run before this one was in.
func (e *inboundEmail) goesOn(at contract.Step, l *leg) *held {
	i := slices.IndexFunc(e.resumed, func(h *held) bool { return h.at == at && h.leg == l })
	if i < 0 {
		return nil
	}
	h := e.resumed[i]
	e.resumed = slices.Delete(e.resumed, i, i+1)
	return h
}

// changePlans guards the question for the plan of a hold and the timers after it, and
// from 2 on that the hold is kept before anybody can read of it.
const changePlans = "plan-holds"

// hold waits for a person. It gives passed once somebody has decided: h says what.
func (e *inboundEmail) hold(ctx workflow.Context, h *held) outcome {
	if h.since.IsZero() {
		version := workflow.GetVersion(ctx, changePlans, workflow.DefaultVersion, 2)
		if version >= 1 {
			h.plan = e.planOf(ctx, h)
			switch {
			case e.discarded:
				return ended
			case ctx.Err() != nil:
				return backed
			}
		}
		h.since = workflow.Now(ctx)
		e.held = append(e.held, h)
		e.noteHold(h, contract.FindingOpen, nil)
		if h.leg != nil {
			h.leg.held = h
		}
		if version >= 2 {
			e.commit(ctx, version, func() { e.refresh(ctx) })
		} else {
			e.refresh(ctx)
		}
	}
	if h.leg != nil {
		defer func() { h.leg.held = nil }()
	}
	aside, stop := workflow.WithCancel(ctx)
	defer stop() // who is being told of the hold need not hear of it once it is over
	for {
		if out, decided := e.await(ctx, h); decided {
			return out
		}
		e.elapsed(aside, h)
	}
}

// await waits until somebody decides, or the hold goes on in a new run. It gives
// false when a time has come that h.next told.
func (e *inboundEmail) await(ctx workflow.Context, h *held) (outcome, bool) {
	decided := func() bool { return h.action != "" || e.discarded }
	var rings workflow.Future
	if at := h.next(); !at.IsZero() && !decided() {
		timer, stop := workflow.WithCancel(ctx)
		defer stop()
		rings = workflow.NewTimerWithOptions(timer, max(at.Sub(workflow.Now(ctx)), 0),
			workflow.TimerOptions{Summary: "held at " + h.name + ": " + h.nextIs()})
	}
	for {
		err := workflow.Await(ctx, func() bool {
			if decided() {
				return e.committing == 0
			}
			return rings != nil && rings.IsReady() || e.renewable(ctx)
		})
		switch {
		case e.discarded:
			return ended, true
		case h.action != "":
			return passed, true
		case err != nil: // the context of a leg ends when another takes the email back
			e.held = slices.DeleteFunc(e.held, func(o *held) bool { return o == h })
			e.refresh(ctx)
			return backed, true
		case rings != nil && rings.IsReady():
			return passed, false
		}
		if e.settled(ctx) {
			return anew, true
		}
	}
}

// waive notes that a person let these reasons pass. It gives false when the step
// has to run again: one of them cannot be waived, or it is the step's own result
// that has to change (no route was looked for while every recipient was foreign).
func (e *inboundEmail) waive(at contract.Step, holds []contract.Hold) bool {
	on := true
	for _, h := range holds {
		if !h.Reason.Waivable() {
			on = false
			continue
		}
		e.waived[h.Reason] = true
		if h.Reason == contract.RecipientForeign && at == contract.StepRoute {
			on = false
		}
	}
	return on
}

// raisedBy is the step that finds a reason which an edit may bring up anew; what
// the door or the parser finds of the event itself is not in it.
var raisedBy = map[contract.Reason]contract.Step{
	contract.TooLarge:           contract.StepInspect,
	contract.TypeDenied:         contract.StepInspect,
	contract.AttachmentMismatch: contract.StepInspect,
	contract.Infected:           contract.StepInspect,
	contract.Unscannable:        contract.StepInspect,
	contract.ScannerUnavailable: contract.StepInspect,
	contract.RecipientForeign:   contract.StepRoute,
	contract.ManualHold:         contract.StepRoute,
}

// unwaive takes back what people let pass of an email that an edit changes from
// the step from on: they let pass what they saw.
func (e *inboundEmail) unwaive(ctx workflow.Context, from contract.Step) {
	for _, r := range contract.Reasons {
		if at, ok := raisedBy[r]; ok && !at.Before(from) {
			delete(e.waived, r)
		}
	}
	parsed := func(r contract.Reason) bool { return e.waived[r] && (e.in.Hold == nil || e.in.Hold.Reason != r) }
	if from == contract.StepStore && slices.ContainsFunc(parserReasons, parsed) &&
		workflow.GetVersion(ctx, changeUnwaive, workflow.DefaultVersion, 1) >= 1 {
		for _, r := range parserReasons {
			if parsed(r) {
				delete(e.waived, r)
			}
		}
	}
}

// changeUnwaive guards that an edit of how the mail is read takes back what people let
// pass of how it was read before.
const changeUnwaive = "unwaive-parsed"

// parserReasons are what the store step finds when it reads the mail.
var parserReasons = []contract.Reason{contract.SchemaInvalid, contract.MIMEMalformed, contract.AttachmentUnfetchable}

// released reports whether a person let content go that inspection had held.
func (e *inboundEmail) released() bool {
	return slices.ContainsFunc(contract.Reasons, func(r contract.Reason) bool {
		return e.waived[r] && raisedBy[r] == contract.StepInspect
	})
}
