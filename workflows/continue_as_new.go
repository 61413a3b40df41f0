package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// maxEvents is the length of a history from which on a hold goes on in a new run,
// reminder or not: signals that change nothing take room as well.
const maxEvents = 2000

// renewable reports whether the wait for a person goes on in a new run now: there
// is a reason to, everything of the email waits for a person, the ledger knows all,
// and no update or activity is under way that the new run would not see.
func (e *inboundEmail) renewable(ctx workflow.Context) bool {
	if e.anew { // another leg has found so, and nothing has happened since
		return true
	}
	info := workflow.GetInfo(ctx)
	return (e.stale || info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() > maxEvents) &&
		e.in.Email.ID != 0 && len(e.held) > 0 && e.planned() && e.allHeld() &&
		len(e.waiting) == 0 && len(e.edits) == 0 && e.aside == 0 && e.ledger.empty() &&
		workflow.AllHandlersFinished(ctx)
}

// settled reports whether the run may end: once every signal that has come is heard,
// the reason for it must still hold. A signal that a receiver was given and has not
// looked at is in no channel any more; it would be lost with the run.
func (e *inboundEmail) settled(ctx workflow.Context) bool {
	if !e.anew {
		e.hush.Send(ctx, nil) // is received when there is no signal left
		e.anew = e.renewable(ctx)
	}
	return e.anew
}

// planned reports whether every hold has a plan; in runs from before there were
// plans a hold stays as it was begun.
func (e *inboundEmail) planned() bool {
	return !slices.ContainsFunc(e.held, func(h *held) bool { return h.plan == nil })
}

// allHeld reports whether every leg that is not done waits for a person.
func (e *inboundEmail) allHeld() bool {
	if e.held[0].leg == nil {
		return true
	}
	return !slices.ContainsFunc(e.legs, func(l *leg) bool { return !l.done && l.held == nil })
}

// renew ends this run with all that the next one must know.
func (e *inboundEmail) renew(ctx workflow.Context) error {
	in := e.in
	r := &contract.Resumed{
		Step: e.held[0].at, Routes: e.routes, Budgets: e.budgets, Decisions: e.decisions, Reviewed: e.decided,
		Last: e.last, Sequence: e.ledger.sequence, Trouble: e.trouble, Resend: e.resend,
		Inspected: e.inspected, Routed: e.routed, Findings: e.findings.all(), Pending: e.findings.pending,
	}
	for _, reason := range contract.Reasons {
		if e.waived[reason] {
			r.Waived = append(r.Waived, reason)
		}
	}
	for _, h := range e.held {
		one := contract.ResumedHold{
			Holds: h.holds, SinceUnixMilli: h.since.UnixMilli(), Plan: *h.plan,
			Reminders: h.reminders, Level: h.level, Due: h.due, Approvals: h.approvals, VerifiedOnly: h.verifiedOnly,
		}
		if h.leg != nil {
			one.Destination = h.leg.destination
		}
		r.Held = append(r.Held, one)
	}
	for _, l := range e.legs {
		r.Legs = append(r.Legs, contract.ResumedLeg{
			Destination: l.destination, Done: l.done, Attempts: l.attempts, Again: l.again, Durable: l.options.neverFast,
		})
	}
	in.Resumed = r
	return workflow.NewContinueAsNewError(ctx, contract.InboundEmailWorkflow, in)
}

// takeUp fills the state of a run with what the one before it knew.
func (e *inboundEmail) takeUp(r *contract.Resumed) {
	e.from, e.routes, e.budgets, e.decisions, e.decided = r.Step, r.Routes, r.Budgets, r.Decisions, r.Reviewed
	e.last, e.ledger.sequence, e.trouble, e.resend = r.Last, r.Sequence, r.Trouble, r.Resend
	e.inspected, e.routed, e.findings.pending = r.Inspected, r.Routed, r.Pending
	for _, f := range r.Findings {
		e.findings.list = append(e.findings.list, finding{Finding: f, told: true})
	}
	for _, reason := range r.Waived {
		e.waived[reason] = true
	}
	byName := map[string]*leg{}
	for _, l := range r.Legs {
		one := e.newLeg(l.Destination, l.Durable)
		one.done, one.attempts, one.again = l.Done, l.Attempts, l.Again
		e.legs = append(e.legs, one)
		byName[l.Destination] = one
	}
	for _, one := range r.Held {
		h := &held{
			at: r.Step, leg: byName[one.Destination], holds: one.Holds, since: time.UnixMilli(one.SinceUnixMilli).UTC(), plan: &one.Plan,
			reminders: one.Reminders, level: one.Level, due: one.Due, approvals: one.Approvals, verifiedOnly: one.VerifiedOnly,
		}
		h.name = stepName(h.at, h.leg)
		if h.leg != nil {
			h.leg.held = h
		}
		e.held = append(e.held, h)
	}
	e.resumed = slices.Clone(e.held)
	first := e.held[0]
	e.state, e.reason, e.detail, e.step = contract.Quarantined, first.holds[0].Reason, first.holds[0].Detail, first.name
	e.in.Resumed = nil
}
