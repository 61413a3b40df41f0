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

// renewal is whether and when the wait of an email continues in a new run.
type renewal struct {
	of      *quarantine
	stale   bool             // the history has become long enough for a new run
	decided bool             // the new run is decided on
	drained workflow.Channel // is received from when every signal was handled
}

// possible reports whether the wait for a person continues in a new run now: there is a
// reason to, everything of the email waits for a person, the ledger knows all, and no
// update or activity is under way that the new run would not see.
func (r *renewal) possible(ctx workflow.Context) bool {
	if r.decided { // another delivery has found so, and nothing has happened since
		return true
	}
	q, info := r.of, workflow.GetInfo(ctx)
	return (r.stale || info.GetContinueAsNewSuggested() || info.GetCurrentHistoryLength() > maxEvents) &&
		q.journal.ledger.hasRow() && len(q.held) > 0 && q.allHeld() &&
		len(q.journal.waits) == 0 && len(q.edits) == 0 && q.background.idle() && q.journal.ledger.empty() && q.unknown.settled() &&
		workflow.AllHandlersFinished(ctx)
}

// decide reports whether the run may end: once every signal that has come is
// handled, the reason for it must still hold. A signal that a receiver was given and has
// not looked at is in no channel any more; it would be lost with the run.
func (r *renewal) decide(ctx workflow.Context) bool {
	if !r.decided {
		r.drained.Send(ctx, nil) // is received when there is no signal left
		r.decided = r.possible(ctx)
	}
	return r.decided
}

// continueAsNew ends this run with all that the next one must know.
func (e *inboundEmail) continueAsNew(ctx workflow.Context) error {
	j, q := e.journal, e.quarantine
	in := *e.in
	in.Resumed = &contract.Resumed{
		Step: q.held[0].at, Routes: j.routes, Budgets: e.budgets, Decisions: q.decisions.count, Reviewed: q.decisions.about,
		Last: q.decisions.last, Sequence: j.ledger.sequence, Trouble: j.trouble, Resend: e.deliveries.resend,
		Inspected: j.inspected, Routed: j.routed, Findings: q.findings.all(), Pending: q.findings.pending, Asked: q.asked,
		Unknown: e.unknown.list, Held: q.held.save(), Waived: q.waived.save(), Deliveries: e.deliveries.save(),
	}
	return workflow.NewContinueAsNewError(ctx, contract.InboundEmailWorkflow, in)
}

func (s heldSteps) save() []contract.ResumedHold {
	var out []contract.ResumedHold
	for _, h := range s {
		one := contract.ResumedHold{
			Holds: h.holds, SinceUnixMilli: h.since.UnixMilli(), Plan: h.plan,
			Reminders: h.reminders, Level: h.level, Due: h.due, Asked: h.asked, Approvals: h.approvals,
		}
		if h.delivery != nil {
			one.Destination = h.delivery.destination
		}
		out = append(out, one)
	}
	return out
}

func (w waivers) save() []contract.Reason {
	var out []contract.Reason
	for _, reason := range contract.Reasons {
		if w[reason] {
			out = append(out, reason)
		}
	}
	return out
}

func (s *deliveries) save() []contract.ResumedDelivery {
	var out []contract.ResumedDelivery
	for _, d := range s.list {
		out = append(out, contract.ResumedDelivery{
			Destination: d.destination, Done: d.done, Attempts: d.attempts, Again: d.again, Now: d.now,
			Durable: d.options.neverFast,
		})
	}
	return out
}

// resume fills the state of a run with what the one before it knew.
func (e *inboundEmail) resume(r *contract.Resumed) {
	j, q := e.journal, e.quarantine
	e.from, e.budgets = r.Step, r.Budgets
	j.routes, j.inspected, j.routed, j.ledger.sequence, j.trouble = r.Routes, r.Inspected, r.Routed, r.Sequence, r.Trouble
	q.decisions.count, q.decisions.about, q.decisions.last = r.Decisions, r.Reviewed, r.Last
	q.findings.load(r.Findings)
	q.findings.pending, q.asked = r.Pending, r.Asked
	e.unknown.list = r.Unknown
	for _, reason := range r.Waived {
		q.waived[reason] = true
	}

	e.deliveries.resend = r.Resend
	byName := map[string]*delivery{}
	for _, l := range r.Deliveries {
		d := e.deliveries.add(l.Destination, l.Durable, e.budgets.DeliverSeconds)
		d.done, d.attempts, d.again, d.now = l.Done, l.Attempts, l.Again, l.Now
		byName[l.Destination] = d
	}
	for _, one := range r.Held {
		q.held = append(q.held, resumedHold(r.Step, one, byName[one.Destination]))
	}
	q.resumed = slices.Clone(q.held)

	first := q.held[0]
	j.state, j.reason, j.detail, j.step = contract.Quarantined, first.holds[0].Reason, first.holds[0].Detail, first.name
	e.in.Resumed = nil
}

// resumedHold returns a hold of the run before; d is its delivery, nil for none.
func resumedHold(at contract.Step, r contract.ResumedHold, d *delivery) *heldStep {
	h := &heldStep{
		at: at, name: step{at: at, delivery: d}.name(), delivery: d,
		holds: r.Holds, since: time.UnixMilli(r.SinceUnixMilli).UTC(), plan: r.Plan,
		reminders: r.Reminders, level: r.Level, due: r.Due, asked: r.Asked, approvals: r.Approvals,
	}
	if d != nil {
		d.held = h
	}
	return h
}
