package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// fallbackPlan is the plan of a hold whose own could not be read, which happens only in a
// broken worker.
var fallbackPlan = contract.HoldPlan{
	RemindSeconds:   int64(4 * time.Hour / time.Second),
	EscalateSeconds: int64(24 * time.Hour / time.Second),
	RepeatSeconds:   int64(7 * 24 * time.Hour / time.Second),
	Approvals:       maxApprovals, // nothing is let go because a plan could not be read
}

// maxApprovals is the largest number of people that the configuration may ask for.
const maxApprovals = 5

// planOf reads what the configuration wants of a hold.
func planOf(ctx workflow.Context, email contract.Email, h *heldStep) contract.HoldPlan {
	in := contract.HoldInput{Email: email}
	for _, one := range h.holds {
		in.Reasons = append(in.Reasons, one.Reason)
	}

	var out contract.HoldPlan
	plan := attempts{name: "plan", options: planOptions}
	if err := plan.run(ctx, callOf(activity.holds.PlanHold, in, &out)); err != nil {
		workflow.GetLogger(ctx).Error("read the plan of a hold", "error", err)
		out = fallbackPlan
	}
	out.Approvals = max(out.Approvals, 1)
	return out
}

// next returns when a reminder or the deadline of a hold is due, the zero time for never.
func (h *heldStep) next() time.Time {
	remind, deadline := h.remindAt(), h.deadline()
	if remind.IsZero() || !deadline.IsZero() && deadline.Before(remind) {
		return deadline
	}
	return remind
}

// nextIs names what is due at next.
func (h *heldStep) nextIs() string {
	if h.next().Equal(h.deadline()) {
		return "deadline"
	}
	return "reminder"
}

// remindAt returns when people are reminded the next time: once, then with more emphasis,
// then again and again.
func (h *heldStep) remindAt() time.Time {
	if h.plan.RemindSeconds <= 0 {
		return time.Time{}
	}
	switch h.reminders {
	case 0:
		return h.after(h.plan.RemindSeconds)
	case 1:
		return h.after(max(h.plan.EscalateSeconds, h.plan.RemindSeconds))
	}
	if h.plan.RepeatSeconds <= 0 {
		return time.Time{}
	}
	return h.after(max(h.plan.EscalateSeconds, h.plan.RemindSeconds) + int64(h.reminders-1)*h.plan.RepeatSeconds)
}

// deadline returns when the policy is applied, the zero time where there is no policy
// or its deadline has passed.
func (h *heldStep) deadline() time.Time {
	if h.due || h.plan.DeadlineSeconds <= 0 {
		return time.Time{}
	}
	return h.after(h.plan.DeadlineSeconds)
}

func (h *heldStep) after(seconds int64) time.Time {
	return h.since.Add(time.Duration(seconds) * time.Second)
}

// elapse sends the reminders that are due and applies the policy at the deadline. After
// a stop of all workers several reminders may be due: people are then reminded once.
func (q *quarantine) elapse(ctx workflow.Context, h *heldStep) {
	now := workflow.Now(ctx)
	q.renewal.stale = true
	if d := h.deadline(); !d.IsZero() && !now.Before(d) {
		h.due = true
		if q.applyPolicy(ctx, h) {
			return
		}
		h.level = contract.AttentionEscalated
		q.remind(ctx, h, true)
	}

	reminded := false
	for at := h.remindAt(); !at.IsZero() && !now.Before(at); at = h.remindAt() {
		h.reminders++
		reminded = true
	}

	if reminded {
		h.level = max(h.level, min(h.reminders, contract.AttentionEscalated))
		q.remind(ctx, h, false)
	}
	q.journal.publishDetails(ctx)
}

// applyPolicy does what the configuration says about a hold at its deadline,
// once everything that holds the email is past it and says the same. It returns false
// where the email stays held.
func (q *quarantine) applyPolicy(ctx workflow.Context, h *heldStep) bool {
	action, ok := map[string]contract.Action{
		contract.AtDeadlineDiscard: contract.Discard,
		contract.AtDeadlineRelease: contract.Approve,
	}[h.plan.AtDeadline]
	if !ok {
		return false
	}

	for _, o := range q.held {
		if !o.due || o.plan.AtDeadline != h.plan.AtDeadline {
			return false
		}
	}

	waited := time.Duration(h.plan.DeadlineSeconds) * time.Second
	q.decisions.decide(ctx, ruling{verified: true, Decision: contract.Decision{
		Action: action, Actor: contract.ActorPolicy, Via: contract.ViaPolicy,
		Note: "there was no decision within " + waited.String() + ", after which the configuration says " + h.plan.AtDeadline,
	}})
	return true
}

// remind reminds people of a long hold, in the background: neither the ledger nor the
// destination of the notices may delay a decision.
func (q *quarantine) remind(ctx workflow.Context, h *heldStep, deadline bool) {
	in := contract.RemindInput{
		Email: q.in.Email, Holds: h.holds, Step: h.name, Level: h.level, Number: h.reminders, Deadline: deadline,
		Sequence: q.journal.ledger.sequence, SinceUnixMilli: h.since.UnixMilli(), AtUnixMilli: workflow.Now(ctx).UnixMilli(),
		AtDeadline: h.plan.AtDeadline,
	}
	if d := h.deadline(); !d.IsZero() {
		in.DeadlineUnixMilli = d.UnixMilli()
	}

	if q.journal.ledger.hasRow() {
		q.background.run(ctx, func(ctx workflow.Context) {
			notify(ctx, "remind", remindOptions, effectOf(activity.holds.Remind, in))
		})
	}
	if h.plan.Notify {
		q.background.run(ctx, func(ctx workflow.Context) {
			notify(ctx, "notify", notifyOptions, effectOf(activity.holds.Notify, in))
		})
	}
}

// notify makes the attempts of a reminder until its budget is spent; the next reminder is
// another chance.
func notify(ctx workflow.Context, name string, o stepOptions, c call) {
	a := attempts{name: name, options: o}
	if err := a.run(ctx, c); err != nil && ctx.Err() == nil {
		workflow.GetLogger(ctx).Error("remind of a long hold", "how", name, "error", err)
	}
}
