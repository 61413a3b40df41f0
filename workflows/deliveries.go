package workflows

import (
	"errors"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// deliveries are the deliveries of one email, one for each destination.
type deliveries struct {
	in         *contract.InboundEmailInput
	journal    *journal
	quarantine *quarantine // read alone

	list   []*delivery
	resend bool // what is done is looked at again once the email was routed
}

// delivery is one email to one destination.
type delivery struct {
	of          *deliveries
	destination string
	options     stepOptions
	done        bool
	attempts    int
	again       bool      // a person asked for another attempt, whatever became of the last
	now         bool      // a person asked for the attempt before it was due
	held        *heldStep // while it waits for a person
}

// add returns a delivery that is yet to be made, and keeps it in the list.
func (s *deliveries) add(destination string, careful bool, budgetSeconds int64) *delivery {
	o := deliverOptions.within(budgetSeconds)
	o.neverFast = careful
	d := &delivery{of: s, destination: destination, options: o}
	s.list = append(s.list, d)
	return d
}

// replan replaces the deliveries by those that routing has found, and keeps of the old
// ones what must not be forgotten: what is done stays done, and a person's wish for
// another attempt holds. Where a replay processes the email once more, what is done is
// sent again if today's routes have it: Deliver knows whether there is anything new to
// send.
func (s *deliveries) replan(out contract.RouteResult, budgetSeconds int64) {
	before := s.list
	s.list = nil
	for _, d := range out.Destinations {
		s.add(d, slices.Contains(out.Durable, d), budgetSeconds)
	}

	for _, old := range before {
		i := slices.IndexFunc(s.list, func(d *delivery) bool { return d.destination == old.destination })
		switch {
		case i >= 0:
			s.list[i].done, s.list[i].attempts = old.done && !s.resend, old.attempts
			s.list[i].again, s.list[i].now = old.again, old.now
		case old.done:
			s.list = append(s.list, old)
		}
	}
	s.resend = false
}

// open returns the deliveries that are not done.
func (s *deliveries) open() []*delivery {
	var open []*delivery
	for _, d := range s.list {
		if !d.done {
			open = append(open, d)
		}
	}
	return open
}

// allHeld reports whether every delivery that is not done waits for a person.
func (s *deliveries) allHeld() bool {
	return !slices.ContainsFunc(s.list, func(d *delivery) bool { return !d.done && d.held == nil })
}

// names returns all destinations.
func (s *deliveries) names() []string {
	var names []string
	for _, d := range s.list {
		names = append(names, d.destination)
	}
	return names
}

// delivered returns the destinations that have the email.
func (s *deliveries) delivered() []string {
	var names []string
	for _, d := range s.list {
		if d.done {
			names = append(names, d.destination)
		}
	}
	return names
}

// text lists the destinations for people.
func (s *deliveries) text() string {
	if len(s.list) == 0 {
		return "nobody"
	}
	return "`" + strings.Join(s.names(), "`, `") + "`"
}

// stepName is what people read of the step that makes this delivery.
func (d *delivery) stepName() string { return "deliver to " + d.destination }

// send makes the attempts of one delivery.
func (d *delivery) send(ctx workflow.Context) ([]contract.Hold, error) {
	first := contract.DeliverInput{
		Email:       d.of.in.Email,
		Destination: d.destination,
		Again:       d.again,
		Now:         d.now,
		Released:    d.of.quarantine.waived.released(),
		Inspected:   d.of.journal.inspected.Content,
	}
	if r := d.of.in.Replay; r != nil {
		first.Replay, first.NewEffect = r.ID, r.NewEffect
	}
	var out contract.DeliverResult
	c := callOf(activity.deliver.Deliver, first, &out)
	later := first
	later.Again, later.Now = false, false // a person asked for one more attempt, not for as many as it takes
	c.later = later

	err := stepAttempts(d.of.journal, d.stepName(), d.options).run(ctx, c)
	var by *interruption
	switch {
	case errors.As(err, &by): // what became of the last attempt was not shown to the person
		d.again, d.now = false, true
		return nil, err
	case err != nil:
		if ctx.Err() == nil && codeOf(err) != fault.NotReleased {
			d.again = true // a decision that lets the delivery go on asks for another attempt
		}
		return nil, err
	}

	d.done, d.attempts = true, out.Attempts
	return nil, nil
}
