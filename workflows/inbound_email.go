package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// The activities by reference: the worker registers them under the names of
// their methods.
var (
	enrol   *activities.Enrol
	store   *activities.Store
	inspect *activities.Inspect
	route   *activities.Route
	deliver *activities.Deliver
	ledger  *activities.Ledger
	holds   *activities.Holds
)

// InboundEmail carries one email: store, inspect, route, deliver, close; before
// that, an email that came while the database was away is enrolled. Where it must
// not go on it waits in quarantine for a person, who may take it up at an earlier
// step. It ends delivered or discarded, or as duplicate where another workflow
// carries the email, and in no other way: a cancellation request changes nothing,
// because only a recorded decision may end an email. A long wait goes on in a new
// run with a short history.
func InboundEmail(ctx workflow.Context, in contract.InboundEmailInput) (contract.InboundEmailResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(withPace(ctx))
	e, err := newInboundEmail(ctx, in)
	if err != nil {
		return contract.InboundEmailResult{}, err
	}
	return e.run(ctx)
}

// inboundEmail is the state of one email's workflow.
type inboundEmail struct {
	in      contract.InboundEmailInput
	budgets contract.Budgets

	state   contract.State
	reason  contract.Reason
	detail  string
	step    string // the name of the step that works or waits
	trouble string // why the last signal was not carried out

	waiting   []*wait // steps that wait for something that is away
	held      []*held // steps that wait for a person
	waived    map[contract.Reason]bool
	discarded bool
	elsewhere bool // another workflow carries the email
	decisions int
	decided   []contract.Reason // what the last decision was about
	last      *contract.Decided
	taken     map[int64]bool // intents that were carried out in this run
	edits     []int64        // decided and not yet laid over the email
	saves     int            // edits that were written down in this run

	from       contract.Step    // where its way begins
	back       contract.Step    // the earlier step that a decision takes it up at
	resumed    []*held          // holds that go on from the run before
	committing int              // decisions and holds that Temporal is yet to keep
	aside      int              // coroutines that do something beside the way of the email
	hush       workflow.Channel // is received from when every signal was heard
	stale      bool             // the history has become long enough for a new run
	resend     bool             // what is done is looked at again once it was routed
	anew       bool             // the new run is decided on

	routes    []string
	inspected contract.Inspected
	routed    contract.Routed
	legs      []*leg
	findings  findings
	refusals  int  // how often in a row the ledger said that it must not leave
	reopened  bool // it had come to an end, and is carried once more

	ledger ledgerQueue
}

// leg is one delivery.
type leg struct {
	destination string
	options     stepOptions
	done        bool
	attempts    int
	again       bool  // a person asked for another go
	held        *held // while it waits for a person
}

// newInboundEmail registers every handler before anything blocks.
func newInboundEmail(ctx workflow.Context, in contract.InboundEmailInput) (*inboundEmail, error) {
	e := &inboundEmail{
		in:     in,
		state:  contract.Processing,
		step:   "start",
		waived: map[contract.Reason]bool{},
		taken:  map[int64]bool{},
		from:   contract.StepStore,
		hush:   workflow.NewNamedChannel(ctx, "hush"),
	}
	if in.Resumed != nil {
		e.takeUp(in.Resumed)
	}
	if err := workflow.SetQueryHandler(ctx, contract.QueryStatus, e.status); err != nil {
		return nil, err
	}
	if err := e.handleDecisions(ctx); err != nil {
		return nil, err
	}
	workflow.Go(ctx, e.writeLedger)
	switch {
	case in.Resumed != nil:
		e.publish(ctx)
	case in.Replay != nil:
		e.reopen(ctx)
	default:
		workflow.SetCurrentDetails(ctx, e.details())
	}
	return e, nil
}

// run is the way of one email.
func (e *inboundEmail) run(ctx workflow.Context) (contract.InboundEmailResult, error) {
	if e.reopened && workflow.GetVersion(ctx, changeReview, workflow.DefaultVersion, 1) >= 1 {
		e.from = e.review(ctx, e.from)
	}
	if e.enrolled(ctx) && e.walk(ctx) == anew {
		return contract.InboundEmailResult{}, e.renew(ctx)
	}
	return e.close(ctx)
}

// walk goes from step to step until the email is delivered or discarded, or the
// wait for a person goes on in a new run.
func (e *inboundEmail) walk(ctx workflow.Context) outcome {
	for at := e.from; ; {
		var out outcome
		switch at {
		case contract.StepStore:
			out = e.pass(ctx, at, nil, e.store)
		case contract.StepInspect:
			out = e.pass(ctx, at, nil, e.inspect)
		case contract.StepRoute:
			out = e.pass(ctx, at, nil, e.route)
		default:
			out = e.deliver(ctx)
		}
		switch {
		case out == backed:
			at, e.back = e.back, ""
		case out != passed || at == contract.StepDeliver:
			return out
		default:
			at = contract.Steps[slices.Index(contract.Steps, at)+1]
		}
	}
}

// reopen says that an email which had come to an end is carried once more.
func (e *inboundEmail) reopen(ctx workflow.Context) {
	if e.in.Replay.From != "" {
		e.from = e.in.Replay.From
	}
	if e.from == contract.StepDeliver { // where to has to be found out first
		e.from = contract.StepRoute
	}
	e.reopened = true
	e.announce(ctx, nil, "")
}

// store puts the mail into the object store and its manifest into the ledger.
func (e *inboundEmail) store(ctx workflow.Context) ([]contract.Hold, error) {
	out, err := step(ctx, e, "store", storeOptions, store.Store, contract.StoreInput{Email: e.in.Email})
	if err != nil {
		return nil, err
	}
	e.budgets = out.Budgets
	// What the ingress found holds it once its content can be looked at.
	return append(e.ingressHolds(), out.Holds...), nil
}

// inspect gets a verdict on every attachment.
func (e *inboundEmail) inspect(ctx workflow.Context) ([]contract.Hold, error) {
	out, err := step(ctx, e, "inspect", inspectOptions.within(e.budgets.ScanSeconds), inspect.Inspect,
		contract.InspectInput{Email: e.in.Email})
	if err == nil {
		e.keepsWhatWasSeen(out)
		e.inspected = out.Inspected
	}
	return out.Holds, err
}

// route finds out where the mail goes.
func (e *inboundEmail) route(ctx workflow.Context) ([]contract.Hold, error) {
	out, err := step(ctx, e, string(contract.StepRoute), routeOptions, route.Route,
		contract.RouteInput{Email: e.in.Email, AnyRecipient: e.waived[contract.RecipientForeign]})
	if err != nil {
		return nil, err
	}
	before := e.legs
	e.routes, e.routed, e.legs = out.Routes, out.Routed, nil
	for _, d := range out.Destinations {
		e.legs = append(e.legs, e.newLeg(d, slices.Contains(out.Durable, d)))
	}
	e.keepLegs(before)
	if len(out.Destinations) == 0 && len(out.Holds) == 0 { // nothing may end as delivered to nobody
		return []contract.Hold{{Reason: contract.Unroutable, Detail: "the routes give no destination"}}, nil
	}
	return out.Holds, nil
}

// newLeg gives a delivery that is yet to be made.
func (e *inboundEmail) newLeg(destination string, careful bool) *leg {
	o := deliverOptions.within(e.budgets.DeliverSeconds)
	o.neverFast = careful
	return &leg{destination: destination, options: o}
}

// keepLegs keeps of the legs before a step back what must not be forgotten: what is
// done stays done, and a person's wish for another go holds. Where a replay has taken
// the email up, what is done is sent once more if today's routes have it: the
// delivery knows whether there is anything new to send.
func (e *inboundEmail) keepLegs(before []*leg) {
	for _, old := range before {
		i := slices.IndexFunc(e.legs, func(l *leg) bool { return l.destination == old.destination })
		switch {
		case i >= 0:
			e.legs[i].done, e.legs[i].attempts, e.legs[i].again = old.done && !e.resend, old.attempts, old.again
		case old.done:
			e.legs = append(e.legs, old)
		}
	}
	e.resend = false
}

// deliver sends the mail to every destination that does not have it, side by side.
// It returns when every leg is done, or none goes on.
func (e *inboundEmail) deliver(ctx workflow.Context) outcome {
	e.tellFindings(ctx)
	var open []*leg
	for _, l := range e.legs {
		if !l.done {
			open = append(open, l)
		}
	}
	if len(open) == 1 { // nearly all mail: no coroutine of its own
		return e.leg(ctx, open[0])
	}
	out := passed
	legs, abandon := workflow.WithCancel(ctx)
	running := workflow.NewWaitGroup(ctx)
	for _, l := range open {
		running.Add(1)
		workflow.Go(legs, func(ctx workflow.Context) {
			defer running.Done()
			if one := e.leg(ctx, l); one != passed {
				out = max(out, one)
				if one != anew {
					abandon() // legs that still wait are not sent any more, or sent as changed
				}
			}
		})
	}
	running.Wait(ctx)
	return out
}

// leg gets one delivery done.
func (e *inboundEmail) leg(ctx workflow.Context, l *leg) outcome {
	return e.pass(ctx, contract.StepDeliver, l, func(ctx workflow.Context) ([]contract.Hold, error) {
		return nil, e.send(ctx, l)
	})
}

// send makes the attempts of one leg.
func (e *inboundEmail) send(ctx workflow.Context, l *leg) error {
	first := contract.DeliverInput{
		Email:       e.in.Email,
		Destination: l.destination,
		Again:       l.again,
		Released:    e.released(),
		Inspected:   e.inspected.Content,
	}
	if r := e.in.Replay; r != nil {
		first.Replay, first.NewEffect = r.ID, r.NewEffect
	}
	later := first
	later.Again = false // a person asked for one more attempt, not for as many as it takes
	out, err := stepThen(ctx, e, "deliver to "+l.destination, l.options, deliver.Deliver, first, later)
	if err != nil {
		if ctx.Err() == nil && codeOf(err) != fault.NotReleased {
			l.again = true // whoever lets the leg go on asks for another attempt
		}
		return err
	}
	l.done, l.attempts = true, out.Attempts
	return nil
}

// close writes the end of the email down and drains the handlers.
func (e *inboundEmail) close(ctx workflow.Context) (contract.InboundEmailResult, error) {
	e.step = "close"
	result := contract.InboundEmailResult{Decisions: e.decisions}
	for _, l := range e.legs {
		if l.done {
			result.Destinations = append(result.Destinations, l.destination)
		}
	}
	switch {
	case e.discarded:
	case e.elsewhere:
		e.enter(ctx, contract.Duplicate, "", "", nil)
	default:
		e.enter(ctx, contract.Delivered, "", "", nil)
	}
	result.State = e.state
	if e.in.Email.ID == 0 { // it has no row that anything could be written to
		e.ledger.queue = nil
	}
	if err := workflow.Await(ctx, func() bool { return e.ledger.empty() && workflow.AllHandlersFinished(ctx) }); err != nil {
		return result, err
	}
	return result, nil
}
