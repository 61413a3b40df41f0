package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// quarantine is what holds an email, what people decided about it, and what they let
// pass.
type quarantine struct {
	in         *contract.InboundEmailInput
	journal    *journal
	deliveries *deliveries

	held      heldSteps // what waits for a person
	resumed   heldSteps // what waited in the run before and is not yet taken up
	findings  findings
	unknown   *unknownSignals // read alone
	waived    waivers
	asked     *contract.Hold // a person asked for it while the email waited; nil once it is approved
	discarded bool
	had       int // how many destinations had the email when it was discarded
	decisions *decisions
	edits     []int64 // decided and not yet laid over the email
	refusals  int     // how often in a row the ledger said that the email must not leave

	background background
	renewal    renewal
}

func newQuarantine(ctx workflow.Context, in *contract.InboundEmailInput, j *journal) *quarantine {
	q := &quarantine{in: in, journal: j, waived: waivers{}, findings: findings{in: in}}
	q.renewal = renewal{of: q, drained: workflow.NewNamedChannel(ctx, "drained")}
	q.decisions = &decisions{in: in, journal: j, quarantine: q, intents: map[int64]bool{}}
	return q
}

// takeResumed returns the hold of a step that the run before this one was in, once; nil
// for none.
func (q *quarantine) takeResumed(s step) *heldStep {
	i := slices.IndexFunc(q.resumed, func(h *heldStep) bool { return h.at == s.at && h.delivery == s.delivery })
	if i < 0 {
		return nil
	}
	h := q.resumed[i]
	q.resumed = slices.Delete(q.resumed, i, i+1)
	return h
}

// askedHold returns the hold of a step that a person has asked for.
func (q *quarantine) askedHold(s step) *heldStep {
	return &heldStep{at: s.at, name: s.name(), delivery: s.delivery, holds: []contract.Hold{*q.asked}, asked: true}
}

// hold waits for a person. It returns passed once a decision is taken: h has it.
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
	h.plan = planOf(ctx, q.in.Email, h)
	switch {
	case q.discarded:
		return ended
	case ctx.Err() != nil:
		return sentBack
	}

	h.since = workflow.Now(ctx)
	q.held = append(q.held, h)
	q.findings.recordHold(h, contract.FindingOpen, nil)
	if h.delivery != nil {
		h.delivery.held = h
	}

	q.journal.ledger.commit(ctx, func() {
		if h.asked { // the decision has entered the state, and did not know the plan
			q.journal.enterAgain(ctx, nil, q.journal.state)
		}
		q.journal.updateState(ctx)
	})
	return passed
}

// awaitDecision waits for a decision, or until the hold continues in a new run. It
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
				return q.journal.ledger.committing == 0
			}
			return due != nil && due.IsReady() || q.renewal.possible(ctx)
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

		if q.renewal.decide(ctx) {
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
