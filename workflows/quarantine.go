package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// quarantine is what holds an email, what people decided about it, and what they let
// pass.
type quarantine struct {
	in         *contract.InboundEmailInput
	journal    *journal
	deliveries *deliveries

	held      []*heldStep // steps that wait for a person
	resumed   []*heldStep // holds that continue from the run before
	findings  findings
	waived    map[contract.Reason]bool // what people let pass
	discarded bool
	decided   decisions
	edits     []int64 // decided and not yet laid over the email
	refusals  int     // how often in a row the ledger said that the email must not leave

	background int // coroutines that the way of the email does not wait for
	renewal    renewal
}

// decisions is what was decided in all runs, but for saved and intents.
type decisions struct {
	count   int
	last    *contract.Decided
	about   []contract.Reason // what the last decision was about
	intents map[int64]bool    // that were carried out in this run
	saved   int               // edits that were saved in this run
}

// heldStep is one step, or one delivery, that waits for a person.
type heldStep struct {
	at       contract.Step
	name     string    // of the step, for people
	delivery *delivery // of StepDeliver
	holds    []contract.Hold
	since    time.Time

	plan      *contract.HoldPlan // nil in runs that began before there were plans
	approvals []contract.Approval
	reminders int  // how many there were
	level     int  // of the last of them
	due       bool // its deadline has passed

	verifiedOnly bool // only verified approvals count

	action contract.Action // empty until somebody decides
	from   contract.Step   // the step that the decision sends the email back to, if not this one
}

func newQuarantine(ctx workflow.Context, in *contract.InboundEmailInput, j *journal) *quarantine {
	return &quarantine{
		in: in, journal: j,
		waived:  map[contract.Reason]bool{},
		decided: decisions{intents: map[int64]bool{}},
		renewal: renewal{drained: workflow.NewNamedChannel(ctx, "hush")},
	}
}

// resumedHold returns the hold of a step that the run before this one was in, once; nil
// for none.
func (q *quarantine) resumedHold(s step) *heldStep {
	i := slices.IndexFunc(q.resumed, func(h *heldStep) bool { return h.at == s.at && h.delivery == s.delivery })
	if i < 0 {
		return nil
	}
	h := q.resumed[i]
	q.resumed = slices.Delete(q.resumed, i, i+1)
	return h
}

// changePlans guards the question for the plan of a hold and the timers after it, and
// from 2 on that the hold is kept before anybody can read of it.
const changePlans = "plan-holds"

// hold waits for a person. It returns passed once somebody has decided: h says what.
func (q *quarantine) hold(ctx workflow.Context, h *heldStep) outcome {
	if h.since.IsZero() {
		if out := q.beginHold(ctx, h); out != passed {
			return out
		}
	}
	if h.delivery != nil {
		defer func() { h.delivery.held = nil }()
	}

	reminding, stop := workflow.WithCancel(ctx)
	defer stop() // a reminder that is under way is of no use once the hold is over
	for {
		if out, decided := q.awaitDecision(ctx, h); decided {
			return out
		}
		q.elapse(reminding, h)
	}
}

// beginHold reads the plan of a hold and shows it to people.
func (q *quarantine) beginHold(ctx workflow.Context, h *heldStep) outcome {
	version := workflow.GetVersion(ctx, changePlans, workflow.DefaultVersion, 2)
	if version >= 1 {
		h.plan = q.planOf(ctx, h)
		switch {
		case q.discarded:
			return ended
		case ctx.Err() != nil:
			return sentBack
		}
	}

	h.since = workflow.Now(ctx)
	q.held = append(q.held, h)
	q.recordHold(h, contract.FindingOpen, nil)
	if h.delivery != nil {
		h.delivery.held = h
	}

	if version >= 2 {
		q.journal.commit(ctx, version, func() { q.journal.updateState(ctx) })
	} else {
		q.journal.updateState(ctx)
	}
	return passed
}

// awaitDecision waits until somebody decides, or the hold continues in a new run. It
// returns false when the next reminder or the deadline is due.
func (q *quarantine) awaitDecision(ctx workflow.Context, h *heldStep) (outcome, bool) {
	decided := func() bool { return h.action != "" || q.discarded }
	var due workflow.Future
	if at := h.next(); !at.IsZero() && !decided() {
		timer, stop := workflow.WithCancel(ctx)
		defer stop()
		due = workflow.NewTimerWithOptions(timer, max(at.Sub(workflow.Now(ctx)), 0),
			workflow.TimerOptions{Summary: "held at " + h.name + ": " + h.nextIs()})
	}

	for {
		err := workflow.Await(ctx, func() bool {
			if decided() {
				return q.journal.committing == 0
			}
			return due != nil && due.IsReady() || q.renewable(ctx)
		})
		switch {
		case q.discarded:
			return ended, true
		case h.action != "":
			return passed, true
		case err != nil: // the context of a delivery ends when another sends the email back
			q.held = slices.DeleteFunc(q.held, func(o *heldStep) bool { return o == h })
			q.journal.updateState(ctx)
			return sentBack, true
		case due != nil && due.IsReady():
			return passed, false
		}

		if q.decideRenewal(ctx) {
			return continues, true
		}
	}
}

// allHeld reports whether everything of the email that is not done waits for a person.
func (q *quarantine) allHeld() bool {
	return q.held[0].delivery == nil || q.deliveries.allHeld()
}

// remaining returns why a step holds the email: what it found and people have not let
// pass, and what an earlier run left open at it.
func (q *quarantine) remaining(at contract.Step, holds []contract.Hold) []contract.Hold {
	holds = slices.DeleteFunc(holds, func(h contract.Hold) bool { return q.waived[h.Reason] })
	return q.findings.restore(at, holds)
}

// waive lets these reasons pass from now on. It returns false when the step has to run
// again: one of them cannot be waived, or it is the step's own result that has to change
// (no route was looked for while every recipient was foreign).
func (q *quarantine) waive(at contract.Step, holds []contract.Hold) bool {
	goesOn := true
	for _, h := range holds {
		if !h.Reason.Waivable() {
			goesOn = false
			continue
		}
		q.waived[h.Reason] = true
		if h.Reason == contract.RecipientForeign && at == contract.StepRoute {
			goesOn = false
		}
	}
	return goesOn
}

// raisedBy is the step that finds a reason which an edit may bring up anew. What the
// ingress or the parser finds of the event itself is not in it.
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

// parserReasons are what the store step finds when it reads the mail.
var parserReasons = []contract.Reason{contract.SchemaInvalid, contract.MIMEMalformed, contract.AttachmentUnfetchable}

// changeUnwaive guards that an edit of how the mail is read takes back what people let
// pass of how it was read before.
const changeUnwaive = "unwaive-parsed"

// unwaive takes back what people let pass of an email that an edit changes from the
// step from on: they let pass what they saw.
func (q *quarantine) unwaive(ctx workflow.Context, from contract.Step) {
	for _, r := range contract.Reasons {
		if at, ok := raisedBy[r]; ok && !at.Before(from) {
			delete(q.waived, r)
		}
	}

	parsed := func(r contract.Reason) bool { return q.waived[r] && (q.in.Hold == nil || q.in.Hold.Reason != r) }
	if from == contract.StepStore && slices.ContainsFunc(parserReasons, parsed) &&
		workflow.GetVersion(ctx, changeUnwaive, workflow.DefaultVersion, 1) >= 1 {
		for _, r := range parserReasons {
			if parsed(r) {
				delete(q.waived, r)
			}
		}
	}
}

// unwaiveUnseen takes back what people let pass where a later inspection looked at
// something else, or found something else for the same reason.
func (q *quarantine) unwaiveUnseen(out contract.InspectResult) {
	if out.Inspected.Content == "" { // an older release
		return
	}

	before := q.journal.inspected.Content
	other := before != "" && before != out.Inspected.Content
	for _, f := range q.findings.list {
		if f.Step != contract.StepInspect || f.State != contract.FindingApproved || !q.waived[f.Reason] {
			continue
		}
		if other || slices.ContainsFunc(out.Holds, func(h contract.Hold) bool { return h.Reason == f.Reason && h.Detail != f.Detail }) {
			delete(q.waived, f.Reason)
		}
	}
}

// released reports whether a person let content go that inspection had held.
func (q *quarantine) released() bool {
	return slices.ContainsFunc(contract.Reasons, func(r contract.Reason) bool {
		return q.waived[r] && raisedBy[r] == contract.StepInspect
	})
}

// ingressHolds are what the ingress found: every run of the store step holds the email
// for them until people let them pass.
func (q *quarantine) ingressHolds() []contract.Hold {
	var out []contract.Hold
	if q.in.Hold != nil {
		out = append(out, *q.in.Hold)
	}
	for _, f := range q.findings.list {
		if f.Ingress && f.Reason.Judged() && f.State != contract.FindingApproved && !heldFor(out, f.Reason) {
			out = append(out, contract.Hold{Reason: f.Reason, Detail: f.Detail})
		}
	}
	return out
}
