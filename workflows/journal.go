package workflows

import (
	"errors"

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

// wait is one step that waits for something that is away.
type wait struct {
	reason contract.Reason
	detail string
}

// wait notes that a step waits; resume takes the note back.
func (e *inboundEmail) wait(ctx workflow.Context, why *stepError) *wait {
	return e.waitFor(ctx, reasonOf(why, waitReasons), why.sentence)
}

func (e *inboundEmail) waitFor(ctx workflow.Context, r contract.Reason, detail string) *wait {
	w := &wait{reason: r, detail: detail}
	e.waiting = append(e.waiting, w)
	e.refresh(ctx)
	return w
}

func (e *inboundEmail) resume(ctx workflow.Context, w *wait) {
	for i := range e.waiting {
		if e.waiting[i] == w {
			e.waiting = append(e.waiting[:i], e.waiting[i+1:]...)
			break
		}
	}
	e.refresh(ctx)
}

// refresh works the state out anew: a person's part comes before waiting, and
// waiting before work.
func (e *inboundEmail) refresh(ctx workflow.Context) {
	switch {
	case e.state.Terminal():
	case len(e.held) > 0:
		first := e.held[0].holds[0]
		e.enter(ctx, contract.Quarantined, first.Reason, first.Detail, nil)
	case len(e.waiting) > 0:
		e.enter(ctx, contract.Retrying, e.waiting[0].reason, e.waiting[0].detail, nil)
	default:
		e.enter(ctx, contract.Processing, "", "", nil)
	}
}

// enter goes into a state and makes it visible: in the ledger, in the search
// attributes and in the current details. A decision is what led there, if any.
// To enter the same state again without a decision does nothing. Of the time
// before an email has its row the ledger learns the decisions alone.
func (e *inboundEmail) enter(ctx workflow.Context, s contract.State, r contract.Reason, detail string, by *ruling) {
	if by == nil && s == e.state && r == e.reason && detail == e.detail {
		return
	}
	before, why := e.state, e.reason
	e.state, e.reason, e.detail = s, r, detail
	e.record(ctx, by, before, why)
	e.publish(ctx)
}

// announce records the state once more: a decision that left it as it is, or that
// an email which had come to an end is carried again.
func (e *inboundEmail) announce(ctx workflow.Context, by *ruling, before contract.State) {
	e.record(ctx, by, before, e.reason)
	e.publish(ctx)
}

func (e *inboundEmail) record(ctx workflow.Context, by *ruling, before contract.State, why contract.Reason) {
	if e.in.Email.ID == 0 && by == nil {
		return
	}
	in := contract.RecordInput{
		Email:               e.in.Email,
		State:               e.state,
		Reason:              e.reason,
		Detail:              e.detail,
		AtUnixMilli:         workflow.Now(ctx).UnixMilli(),
		ReceivedAtUnixMilli: e.in.ReceivedAtUnixMilli,
		Before:              before,
		DecidedReason:       why,
		Routes:              e.routes,
		Inspected:           e.inspected,
		Routed:              e.routed,
		Findings:            e.findings.untold(),
	}
	if e.state == contract.Quarantined {
		in.Missing = e.missing()
	}
	if by != nil {
		in.Decision, in.EditID, in.Verified = &by.Decision, by.editID, by.verified
		if by.record != nil {
			*by.record = e.ledger.number(in)
			return
		}
	}
	e.ledger.push(in)
}

// publish shows the state to who looks from Temporal.
func (e *inboundEmail) publish(ctx workflow.Context) {
	updates := []temporal.SearchAttributeUpdate{stateKey.ValueSet(string(e.state))}
	if e.reason == "" {
		updates = append(updates, reasonKey.ValueUnset())
	} else {
		updates = append(updates, reasonKey.ValueSet(string(e.reason)))
	}
	if len(e.routes) > 0 {
		updates = append(updates, routeKey.ValueSet(e.routes[0]))
	}
	if len(e.legs) > 0 {
		names := make([]string, len(e.legs))
		for i, l := range e.legs {
			names[i] = l.destination
		}
		updates = append(updates, destinationsKey.ValueSet(names))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Error("set search attributes", "error", err)
	}
	workflow.SetCurrentDetails(ctx, e.details())
}

// status answers the query of the same name.
func (e *inboundEmail) status() (contract.Status, error) {
	s := contract.Status{State: e.state, Step: e.step, Reason: e.reason, Detail: e.detail}
	s.Last, s.Trouble = e.last, e.trouble
	for _, h := range e.held {
		s.Holds = append(s.Holds, h.holds...)
		if since := h.since.UnixMilli(); s.HeldSinceUnixMilli == 0 || since < s.HeldSinceUnixMilli {
			s.HeldSinceUnixMilli, s.Approvals = since, h.approvals
		}
		if at := h.remindAt(); !at.IsZero() && (s.NextReminderUnixMilli == 0 || at.UnixMilli() < s.NextReminderUnixMilli) {
			s.NextReminderUnixMilli = at.UnixMilli()
		}
	}
	s.Missing = e.missing()
	for _, l := range e.legs {
		s.Legs = append(s.Legs, contract.Leg{Destination: l.destination, Done: l.done, Attempts: l.attempts})
	}
	return s, nil
}

// ledgerQueue holds the changes of state that are not yet in the ledger, oldest
// first. The one writer keeps their order while the ledger is away, and nothing
// but the end of the email waits for it.
type ledgerQueue struct {
	sequence int64
	told     int64 // the number of the last change that was written
	queue    []news
}

// news is a change of state for the ledger.
type news struct {
	contract.RecordInput
	commits bool // what follows waits until the ledger was asked once
}

// number gives a change of state its place after the one before it. The time is but a
// good guess at a number that no earlier run has reached: where one has, because a clock
// went wrong, the ledger says so and writeChange comes again under a higher number. So a
// run that was reset in the Web UI overrules the one it replaces, whatever clocks say.
func (q *ledgerQueue) number(in contract.RecordInput) contract.RecordInput {
	q.sequence = max(q.sequence+1, in.AtUnixMilli)
	in.Sequence = q.sequence
	return in
}

// after returns a number beyond n and all that were given.
func (q *ledgerQueue) after(n int64) int64 {
	q.sequence = max(q.sequence, n) + 1
	return q.sequence
}

func (q *ledgerQueue) push(in contract.RecordInput) {
	q.queue = append(q.queue, news{RecordInput: q.number(in)})
}

func (q *ledgerQueue) empty() bool { return len(q.queue) == 0 }

// writeLedger writes the queue, for as long as the workflow lives and once the
// email has a row.
func (e *inboundEmail) writeLedger(ctx workflow.Context) {
	next := func() bool {
		return !e.ledger.empty() && e.in.Email.ID != 0 && (e.committing == 0 || e.ledger.queue[0].commits)
	}
	for workflow.Await(ctx, next) == nil {
		in := e.ledger.queue[0]
		in.Email, in.ReceivedAtUnixMilli = e.in.Email, e.in.ReceivedAtUnixMilli
		if in.Sequence <= e.ledger.told { // the one before it has got a higher number
			in.Sequence = e.ledger.after(e.ledger.told)
		}
		err := e.writeChange(ctx, in)
		if err != nil { // a bug: the ledger's row is stale, the email itself is not held up by it
			workflow.GetLogger(ctx).Error("record the state of an email", "state", in.State, "error", err)
		}
		e.ledger.queue = e.ledger.queue[1:]
	}
}

// mostTellings bounds how often one change is told under a higher number: each time only
// what a run that is gone has still written may have come in between.
const mostTellings = 10

// writeChange writes one change of state. A decision that waits for a change that commits
// goes on once the ledger was asked and has not overruled it.
func (e *inboundEmail) writeChange(ctx workflow.Context, in news) error {
	options, committing := recordOptions, in.commits
	if committing {
		options = commitOptions
	}
	for try := 1; ; try++ {
		var out contract.RecordResult
		err := firstTry(ctx, "record", options, ledger.Record, in.RecordInput, &out)
		overruled := err == nil && out.OverruledBy != 0 && try < mostTellings
		if committing && !overruled {
			e.committing--
			committing = false
		}
		for err != nil && curable(err) {
			err = lastingTry(ctx, "record", recordOptions, askedWait(ctx, err), ledger.Record, in.RecordInput, &out)
		}
		e.ledger.told = in.Sequence
		switch {
		case err != nil || out.OverruledBy == 0:
			return err
		case try == mostTellings:
			return errors.New("the ledger always has a later change of state")
		}

		in.Sequence = e.ledger.after(out.OverruledBy)
		if d := in.Decision; d != nil && d.Intent == 0 {
			in.Decision = nil // its row is there, and only an intent tells a repeat of it
		}
	}
}
