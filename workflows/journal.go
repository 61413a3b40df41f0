package workflows

import (
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// The search attributes that an operator finds mail by. Tenant and source are
// set when the workflow is started.
var (
	stateKey        = temporal.NewSearchAttributeKeyKeyword(contract.AttrState)
	reasonKey       = temporal.NewSearchAttributeKeyKeyword(contract.AttrReason)
	routeKey        = temporal.NewSearchAttributeKeyKeyword(contract.AttrRoute)
	destinationsKey = temporal.NewSearchAttributeKeyKeywordList(contract.AttrDestinations)
)

// journal is what others can know of an email: its state, what the steps found out,
// and how that gets into the ledger, the search attributes, the current details and
// the answer of the query. It only reads the quarantine and the deliveries.
type journal struct {
	in         *contract.InboundEmailInput
	quarantine *quarantine
	deliveries *deliveries

	state   contract.State
	reason  contract.Reason
	detail  string
	step    string // the name of the step that works or waits
	trouble string // why the last signal had no effect
	waits   []*wait

	routes    []string
	routed    contract.Routed
	inspected contract.Inspected

	ledger ledgerQueue
}

// showWait shows that a step waits, until endWait.
func (j *journal) showWait(ctx workflow.Context, w *wait) {
	j.waits = append(j.waits, w)
	j.updateState(ctx)
}

// endWait ends what showWait has begun.
func (j *journal) endWait(ctx workflow.Context, w *wait) {
	j.remove(w)
	j.updateState(ctx)
}

func (j *journal) remove(w *wait) {
	j.waits = slices.DeleteFunc(j.waits, func(o *wait) bool { return o == w })
}

// updateState enters the state that follows from what the email does: a hold comes
// before a wait, and a wait before work. What a person has asked to be held is shown as
// held while an attempt that was being made comes to its end.
func (j *journal) updateState(ctx workflow.Context) {
	switch held := j.quarantine.held; {
	case j.state.Terminal():
	case len(held) > 0:
		first := held[0].holds[0]
		j.enter(ctx, contract.Quarantined, first.Reason, first.Detail, nil)
	case j.quarantine.asked != nil:
		j.enter(ctx, contract.Quarantined, j.quarantine.asked.Reason, j.quarantine.asked.Detail, nil)
	case len(j.waits) > 0:
		j.enter(ctx, contract.Retrying, j.waits[0].reason, j.waits[0].detail, nil)
	default:
		j.enter(ctx, contract.Processing, "", "", nil)
	}
}

// enter enters a state and makes it visible: in the ledger, in the search attributes
// and in the current details. by is the decision that led there, if one did. To enter
// the same state again without a decision does nothing. Of the time before an email
// has its row the ledger learns the decisions alone.
func (j *journal) enter(ctx workflow.Context, s contract.State, r contract.Reason, detail string, by *ruling) {
	if by == nil && s == j.state && r == j.reason && detail == j.detail {
		return
	}

	before, why := j.state, j.reason
	j.state, j.reason, j.detail = s, r, detail
	j.queueChange(ctx, by, before, why)
	j.publish(ctx)
}

// enterAgain records the state once more: after a decision that left it as it is, or
// where an email that had come to an end is processed again.
func (j *journal) enterAgain(ctx workflow.Context, by *ruling, before contract.State) {
	j.queueChange(ctx, by, before, j.reason)
	j.publish(ctx)
}

// queueChange queues the state for the ledger. by is the decision that led to it, nil
// for none; before and why are the state and the reason that it ended.
func (j *journal) queueChange(ctx workflow.Context, by *ruling, before contract.State, why contract.Reason) {
	if !j.ledger.hasRow() && by == nil {
		return
	}

	in := contract.RecordInput{
		Email:               j.in.Email,
		State:               j.state,
		Reason:              j.reason,
		Detail:              j.detail,
		AtUnixMilli:         workflow.Now(ctx).UnixMilli(),
		ReceivedAtUnixMilli: j.in.ReceivedAtUnixMilli,
		Before:              before,
		DecidedReason:       why,
		Routes:              j.routes,
		Inspected:           j.inspected,
		Routed:              j.routed,
		Findings:            j.quarantine.findings.takeUnwritten(),
	}
	if j.state == contract.Quarantined {
		in.Missing = j.quarantine.held.missing()
	}

	if by != nil {
		in.Decision, in.EditID, in.Verified = &by.Decision, by.editID, by.verified
		if by.record != nil {
			*by.record = j.ledger.number(in)
			return
		}
	}
	j.ledger.push(in)
}

// flushBeforeDelivery waits until the ledger knows what became of the findings, because
// a delivery asks it. Nearly all mail has none. An email that was let go without an
// inspection is refused by its delivery first.
func (j *journal) flushBeforeDelivery(ctx workflow.Context) {
	if !j.ledger.hasRow() || j.inspected.Content == "" || j.ledger.empty() && !j.quarantine.findings.dirty() {
		return
	}
	j.flush(ctx)
}

// flush writes everything that the ledger does not know yet, and waits for it.
func (j *journal) flush(ctx workflow.Context) {
	if j.quarantine.findings.dirty() {
		j.queueChange(ctx, nil, j.state, j.reason)
	}
	if written, err := workflow.AwaitWithTimeout(ctx, firstWait, j.ledger.empty); written || err != nil {
		return
	}

	w := &wait{reason: contract.StorageUnavailable, detail: "the ledger does not know yet what was decided"}
	j.showWait(ctx, w)
	_ = workflow.Await(ctx, j.ledger.empty) // fails with the context alone
	j.endWait(ctx, w)
}

// publish shows the state in Temporal.
func (j *journal) publish(ctx workflow.Context) {
	updates := []temporal.SearchAttributeUpdate{stateKey.ValueSet(string(j.state))}
	if j.reason == "" {
		updates = append(updates, reasonKey.ValueUnset())
	} else {
		updates = append(updates, reasonKey.ValueSet(string(j.reason)))
	}
	if len(j.routes) > 0 {
		updates = append(updates, routeKey.ValueSet(j.routes[0]))
	}
	if names := j.deliveries.names(); len(names) > 0 {
		updates = append(updates, destinationsKey.ValueSet(names))
	}

	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Error("set search attributes", "error", err)
	}
	j.publishDetails(ctx)
}

// publishDetails shows in the Web UI what happened and what to do next.
func (j *journal) publishDetails(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, j.details())
}

// status answers the query of the same name.
func (j *journal) status() (contract.Status, error) {
	s := contract.Status{
		State: j.state, Step: j.step, Reason: j.reason, Detail: j.detail,
		Last: j.quarantine.decisions.last, Trouble: j.trouble, Missing: j.quarantine.held.missing(),
	}

	for _, h := range j.quarantine.held {
		s.Holds = append(s.Holds, h.holds...)
		if since := h.since.UnixMilli(); s.HeldSinceUnixMilli == 0 || since < s.HeldSinceUnixMilli {
			s.HeldSinceUnixMilli, s.Approvals = since, h.approvals
		}
		if at := h.remindAt(); !at.IsZero() && (s.NextReminderUnixMilli == 0 || at.UnixMilli() < s.NextReminderUnixMilli) {
			s.NextReminderUnixMilli = at.UnixMilli()
		}
	}

	for _, d := range j.deliveries.list {
		s.Deliveries = append(s.Deliveries, contract.DeliveryStatus{Destination: d.destination, Done: d.done, Attempts: d.attempts})
	}
	return s, nil
}
