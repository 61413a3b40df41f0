package workflows

import (
	"go.temporal.io/sdk/workflow"

	"mailroom/activities"
	"mailroom/shared/contract"
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
)

// InboundEmail carries one email: store, inspect, route, deliver, close; before
// that, an email that came while the database was away is enrolled. Where it must
// not go on it waits in quarantine for a person. It ends delivered or discarded,
// or as duplicate where another workflow carries the email, and in no other way: a
// cancellation request changes nothing, because only a recorded decision may end
// an email.
func InboundEmail(ctx workflow.Context, in contract.InboundEmailInput) (contract.InboundEmailResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	e, err := newInboundEmail(ctx, in)
	if err != nil {
		return contract.InboundEmailResult{}, err
	}
	return e.run(ctx)
}

const stepRoute = "route"

// inboundEmail is the state of one email's workflow.
type inboundEmail struct {
	in      contract.InboundEmailInput
	budgets contract.Budgets

	state  contract.State
	reason contract.Reason
	detail string
	step   string

	waiting   []*wait // steps that wait for something that is away
	held      []*held // steps that wait for a person
	waived    map[contract.Reason]bool
	discarded bool
	elsewhere bool // another workflow carries the email
	decisions int
	decided   []contract.Reason // what the last decision was about

	routes []string
	legs   []*leg

	ledger ledgerQueue
}

// leg is one delivery.
type leg struct {
	destination string
	options     stepOptions
	done        bool
	attempts    int
	again       bool // a person asked for another go
}

// newInboundEmail registers every handler before anything blocks.
func newInboundEmail(ctx workflow.Context, in contract.InboundEmailInput) (*inboundEmail, error) {
	e := &inboundEmail{
		in:     in,
		state:  contract.Processing,
		step:   "start",
		waived: map[contract.Reason]bool{},
	}
	if err := workflow.SetQueryHandler(ctx, contract.QueryStatus, e.status); err != nil {
		return nil, err
	}
	if err := e.handleDecisions(ctx); err != nil {
		return nil, err
	}
	workflow.Go(ctx, e.writeLedger)
	workflow.SetCurrentDetails(ctx, e.details())
	return e, nil
}

// run is the way of one email.
func (e *inboundEmail) run(ctx workflow.Context) (contract.InboundEmailResult, error) {
	if e.enrolled(ctx) &&
		e.pass(ctx, "store", e.store) &&
		e.pass(ctx, "inspect", e.inspect) &&
		e.pass(ctx, stepRoute, e.route) {
		e.deliver(ctx)
	}
	return e.close(ctx)
}

// store puts the mail into the object store and its manifest into the ledger.
func (e *inboundEmail) store(ctx workflow.Context) ([]contract.Hold, error) {
	out, err := step(ctx, e, "store", storeOptions, store.Store, contract.StoreInput{Email: e.in.Email})
	if err != nil {
		return nil, err
	}
	e.budgets = out.Budgets
	if e.in.Hold != nil { // known at the door, held once its content can be looked at
		return append([]contract.Hold{*e.in.Hold}, out.Holds...), nil
	}
	return out.Holds, nil
}

// inspect gets a verdict on every attachment.
func (e *inboundEmail) inspect(ctx workflow.Context) ([]contract.Hold, error) {
	out, err := step(ctx, e, "inspect", inspectOptions.within(e.budgets.ScanSeconds), inspect.Inspect,
		contract.InspectInput{Email: e.in.Email})
	return out.Holds, err
}

// route finds out where the mail goes.
func (e *inboundEmail) route(ctx workflow.Context) ([]contract.Hold, error) {
	out, err := step(ctx, e, stepRoute, routeOptions, route.Route,
		contract.RouteInput{Email: e.in.Email, AnyRecipient: e.waived[contract.RecipientForeign]})
	if err != nil {
		return nil, err
	}
	careful := map[string]bool{}
	for _, d := range out.Durable {
		careful[d] = true
	}
	e.routes, e.legs = out.Routes, nil
	for _, d := range out.Destinations {
		o := deliverOptions.within(e.budgets.DeliverSeconds)
		o.neverFast = careful[d]
		e.legs = append(e.legs, &leg{destination: d, options: o})
	}
	if len(out.Destinations) == 0 && len(out.Holds) == 0 { // nothing may end as delivered to nobody
		return []contract.Hold{{Reason: contract.Unroutable, Detail: "the routes give no destination"}}, nil
	}
	return out.Holds, nil
}

// deliver sends the mail to every destination, side by side. It returns when
// every leg is done or the email is discarded; a leg that is done is not sent again.
func (e *inboundEmail) deliver(ctx workflow.Context) {
	if len(e.legs) == 1 { // nearly all mail: no coroutine of its own
		e.leg(ctx, e.legs[0])
		return
	}
	legs, abandon := workflow.WithCancel(ctx)
	running := workflow.NewWaitGroup(ctx)
	for _, l := range e.legs {
		running.Add(1)
		workflow.Go(legs, func(ctx workflow.Context) {
			defer running.Done()
			if !e.leg(ctx, l) {
				abandon() // discarded: legs that still wait are not sent any more
			}
		})
	}
	running.Wait(ctx)
}

// leg gets one delivery done. It gives false when the email was discarded.
func (e *inboundEmail) leg(ctx workflow.Context, l *leg) bool {
	return e.pass(ctx, "deliver to "+l.destination, func(ctx workflow.Context) ([]contract.Hold, error) {
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
	}
	later := first
	later.Again = false // a person asked for one more attempt, not for as many as it takes
	out, err := stepThen(ctx, e, "deliver to "+l.destination, l.options, deliver.Deliver, first, later)
	if err != nil {
		l.again = true // whoever lets the leg go on asks for another attempt
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
