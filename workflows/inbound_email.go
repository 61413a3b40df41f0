package workflows

import (
	"errors"
	"slices"

	"go.temporal.io/sdk/workflow"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// activity holds every activity by reference: the worker registers them under the
// names of their methods.
var activity struct {
	backfill *activities.Backfill
	store    *activities.Store
	inspect  *activities.Inspect
	route    *activities.Route
	deliver  *activities.Deliver
	record   *activities.Record
	edits    *activities.Edits
	standing *activities.Standing
	holds    *activities.Holds
	replays  *activities.Replays
	preview  *activities.ReplayPreview
	starts   *activities.ReplayStarts
	recovery *activities.Recovery
	purge    *activities.Purge
}

// InboundEmail processes one email: store, inspect, route, deliver, close; before
// that, the row of an email that came while the database was unavailable is
// backfilled. Where the email must not go on it waits in quarantine for a person, who
// may send it back to an earlier step. It ends delivered or discarded, or as duplicate
// where another workflow processes the email, and in no other way: a cancellation
// request changes nothing, because only a recorded decision may end an email. A long
// wait continues in a new run with a short history.
func InboundEmail(ctx workflow.Context, in contract.InboundEmailInput) (contract.InboundEmailResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(withPace(ctx))
	e, err := newInboundEmail(ctx, in)
	if err != nil {
		return contract.InboundEmailResult{}, err
	}
	return e.run(ctx)
}

// inboundEmail processes one email. Its visible state is in the journal, its holds are in
// the quarantine.
type inboundEmail struct {
	in         *contract.InboundEmailInput // all parts of the email share it
	journal    *journal
	quarantine *quarantine
	deliveries *deliveries
	row        *missingRow
	unknown    *unknownSignals

	budgets  contract.Budgets
	from     contract.Step // where its way begins
	back     contract.Step // the earlier step that a decision sends it back to
	reopened bool          // it had come to an end, and is processed once more
}

// newInboundEmail registers every handler before anything blocks.
func newInboundEmail(ctx workflow.Context, in contract.InboundEmailInput) (*inboundEmail, error) {
	e := connect(ctx, &in)
	if in.Resumed != nil {
		e.resume(in.Resumed)
	}

	if err := workflow.SetQueryHandler(ctx, contract.QueryStatus, e.journal.status); err != nil {
		return nil, err
	}
	if err := e.quarantine.decisions.register(ctx); err != nil {
		return nil, err
	}
	workflow.Go(ctx, e.journal.ledger.writeChanges)
	workflow.Go(ctx, e.unknown.receive)
	workflow.Go(ctx, e.unknown.write)

	switch {
	case e.quarantine.resumed != nil:
		e.journal.publish(ctx)
	case in.Replay != nil:
		e.reopen(ctx)
	default:
		e.journal.publishDetails(ctx)
	}
	return e, nil
}

// connect makes the parts of an email and has them know each other.
func connect(ctx workflow.Context, in *contract.InboundEmailInput) *inboundEmail {
	j := &journal{in: in, state: contract.Processing, step: "start", ledger: ledgerQueue{in: in}}
	q := newQuarantine(ctx, in, j)
	d := &deliveries{in: in, journal: j, quarantine: q}
	u := &unknownSignals{journal: j}
	j.quarantine, j.deliveries, q.deliveries, q.unknown = q, d, d, u
	return &inboundEmail{
		in: in, journal: j, quarantine: q, deliveries: d, row: &missingRow{in: in, journal: j}, unknown: u, from: contract.StepStore,
	}
}

// run processes one email, step by step, until it is delivered or discarded, or the wait
// for a person continues in a new run.
func (e *inboundEmail) run(ctx workflow.Context) (contract.InboundEmailResult, error) {
	if e.reopened {
		e.from = e.quarantine.review(ctx, e.from)
	}
	if !e.backfilled(ctx) {
		return e.close(ctx)
	}

	for at := e.from; ; {
		var out outcome
		switch at {
		case contract.StepStore:
			out = e.pass(ctx, step{at: at, run: e.store})
		case contract.StepInspect:
			out = e.pass(ctx, step{at: at, run: e.inspect})
		case contract.StepRoute:
			out = e.pass(ctx, step{at: at, run: e.route})
		default:
			out = e.deliver(ctx)
		}

		switch {
		case out == continues:
			return contract.InboundEmailResult{}, e.continueAsNew(ctx)
		case out == sentBack:
			at, e.back = e.back, ""
		case out == ended || at == contract.StepDeliver:
			return e.close(ctx)
		default:
			at = contract.Steps[slices.Index(contract.Steps, at)+1]
		}
	}
}

// outcome is how a step came out. Where several deliveries come out differently, the
// greatest counts.
type outcome int

const (
	passed    outcome = iota // the email goes on
	sentBack                 // to an earlier step, e.back
	continues                // the wait goes on in a new run
	ended                    // the email is discarded
)

// step is one step of the way, or one delivery.
type step struct {
	at       contract.Step
	delivery *delivery // of StepDeliver
	// run returns why the email must not go on, if it must not.
	run func(workflow.Context) ([]contract.Hold, error)
}

func (s step) name() string {
	if s.delivery != nil {
		return s.delivery.stepName()
	}
	return string(s.at)
}

// pass runs a step until it lets the email go on, holding the email for a person as
// often as that takes.
func (e *inboundEmail) pass(ctx workflow.Context, s step) outcome {
	h := e.quarantine.takeResumed(s)
	for {
		e.journal.step = s.name()
		if h == nil && e.quarantine.asked != nil {
			h = e.quarantine.askedHold(s)
		}
		if h == nil {
			err := e.quarantine.applyEdits(ctx, s)
			var holds []contract.Hold
			if err == nil {
				holds, err = s.run(ctx)
			}
			var by *interruption
			switch {
			case e.quarantine.discarded:
				return ended
			case ctx.Err() != nil: // another delivery sent the email back
				return sentBack
			case errors.As(err, &by) && by.from.Before(s.at):
				e.back = by.from
				return sentBack
			case by != nil || err != nil && e.quarantine.asked != nil && codeOf(err) == fault.NotReleased:
				continue // the step runs again, or is held as a person asked
			case err != nil && s.delivery != nil && e.mustNotLeave(ctx, err):
				return sentBack
			case err != nil:
				holds = []contract.Hold{{Reason: reasonOf(err, holdReasons), Detail: sentenceOf(err)}}
			}

			if holds = e.quarantine.remaining(s.at, holds); len(holds) == 0 {
				e.quarantine.findings.pass(s.at)
				return passed
			}
			h = &heldStep{at: s.at, name: s.name(), delivery: s.delivery, holds: holds}
		}

		out := e.quarantine.hold(ctx, h)
		switch {
		case out != passed:
			return out
		case h.from.Before(s.at):
			e.back = h.from
			return sentBack
		case h.asked: // its step has not passed yet
			e.journal.flushBeforeDelivery(ctx)
		case h.action == contract.Approve && e.quarantine.waived.waive(s.at, h.holds):
			e.quarantine.findings.pass(s.at)
			return passed
		}
		h = nil
	}
}

// reopen says that an email which had come to an end is processed once more.
func (e *inboundEmail) reopen(ctx workflow.Context) {
	if e.in.Replay.From != "" {
		e.from = e.in.Replay.From
	}
	if e.from == contract.StepDeliver { // the destinations have to be found out first
		e.from = contract.StepRoute
	}
	e.reopened = true
	e.journal.enterAgain(ctx, nil, "")
}

// store puts the mail into the object store and its manifest into the ledger.
func (e *inboundEmail) store(ctx workflow.Context) ([]contract.Hold, error) {
	var out contract.StoreResult
	in := contract.StoreInput{Email: e.in.Email}
	err := stepAttempts(e.journal, "store", storeOptions).run(ctx, callOf(activity.store.Store, in, &out))
	if err != nil {
		return nil, err
	}

	e.budgets = out.Budgets
	// What the ingress found holds it once its content can be looked at.
	return append(e.quarantine.findings.ingressHolds(), out.Holds...), nil
}

// inspect gets a verdict on every attachment.
func (e *inboundEmail) inspect(ctx workflow.Context) ([]contract.Hold, error) {
	var out contract.InspectResult
	in, options := contract.InspectInput{Email: e.in.Email}, inspectOptions.within(e.budgets.ScanSeconds)
	err := stepAttempts(e.journal, "inspect", options).run(ctx, callOf(activity.inspect.Inspect, in, &out))
	if err != nil {
		return out.Holds, err
	}

	e.quarantine.waived.takeBackUnseen(out, e.journal.inspected.Content, e.quarantine.findings.list)
	e.journal.inspected = out.Inspected
	return out.Holds, nil
}

// route finds out where the mail goes.
func (e *inboundEmail) route(ctx workflow.Context) ([]contract.Hold, error) {
	var out contract.RouteResult
	in := contract.RouteInput{Email: e.in.Email, AnyRecipient: e.quarantine.waived[contract.RecipientForeign]}
	err := stepAttempts(e.journal, "route", routeOptions).run(ctx, callOf(activity.route.Route, in, &out))
	if err != nil {
		return nil, err
	}

	e.journal.routes, e.journal.routed = out.Routes, out.Routed
	e.deliveries.replan(out, e.budgets.DeliverSeconds)
	if len(out.Destinations) == 0 && len(out.Holds) == 0 { // nothing may end as delivered to no destination
		return []contract.Hold{{Reason: contract.Unroutable, Detail: "the routes give no destination"}}, nil
	}
	return out.Holds, nil
}

// deliver sends the mail to every destination that does not have it, side by side.
// It returns when every delivery is done, or none goes on.
func (e *inboundEmail) deliver(ctx workflow.Context) outcome {
	e.journal.flushBeforeDelivery(ctx)
	open := e.deliveries.open()
	if len(open) == 1 { // nearly all mail: no coroutine of its own
		return e.pass(ctx, step{at: contract.StepDeliver, delivery: open[0], run: open[0].send})
	}

	out := passed
	deliveries, abandon := workflow.WithCancel(ctx)
	running := workflow.NewWaitGroup(ctx)
	for _, d := range open {
		running.Add(1)
		workflow.Go(deliveries, func(ctx workflow.Context) {
			defer running.Done()
			if one := e.pass(ctx, step{at: contract.StepDeliver, delivery: d, run: d.send}); one != passed {
				out = max(out, one)
				if one != continues {
					abandon() // deliveries that still wait are not made any more, or made as changed
				}
			}
		})
	}
	running.Wait(ctx)
	return out
}

// maxRefusals is how often in a row the ledger may say that an email must not leave
// before a person is asked.
const maxRefusals = 3

// mustNotLeave sends the email back where its delivery says that it must not leave: to
// its inspection, or to an earlier step. It returns false where that has not helped.
func (e *inboundEmail) mustNotLeave(ctx workflow.Context, err error) bool {
	if codeOf(err) != fault.NotReleased || e.quarantine.refusals >= maxRefusals {
		return false
	}

	e.quarantine.refusals++
	e.journal.flush(ctx)
	from := e.quarantine.review(ctx, contract.StepInspect)
	if ctx.Err() == nil { // else another delivery has sent it back
		e.back = from
	}
	return true
}

// close writes the end of the email down and drains the handlers.
func (e *inboundEmail) close(ctx workflow.Context) (contract.InboundEmailResult, error) {
	e.journal.step = "close"
	switch {
	case e.quarantine.discarded:
		if len(e.deliveries.delivered()) > e.quarantine.had { // by an attempt that was being made
			e.journal.enterAgain(ctx, nil, e.journal.state)
		}
	case e.row.duplicate:
		e.journal.enter(ctx, contract.Duplicate, "", "", nil)
	default:
		if e.quarantine.asked != nil { // the attempts that were being made delivered it
			e.quarantine.findings.pass(contract.StepRoute)
		}
		e.journal.enter(ctx, contract.Delivered, "", "", nil)
	}

	if !e.journal.ledger.hasRow() { // nothing could be written to it
		e.journal.ledger.changes = nil
	}
	result := contract.InboundEmailResult{
		State: e.journal.state, Destinations: e.deliveries.delivered(), Decisions: e.quarantine.decisions.count,
	}
	e.unknown.end()
	err := workflow.Await(ctx, func() bool {
		return e.journal.ledger.empty() && e.unknown.settled() && workflow.AllHandlersFinished(ctx)
	})
	return result, err
}

// stepAttempts are the attempts of a step: the state of the email shows that it waits
// for the next one, people may decide about that, and large mail is never tried fast.
func stepAttempts(j *journal, name string, o stepOptions) attempts {
	o.neverFast = o.neverFast || large(j.in.Email)
	return attempts{name: name, options: o, journal: j, decidable: true}
}
