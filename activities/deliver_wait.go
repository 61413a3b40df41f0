package activities

import (
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// longestRest is the longest wait that Temporal is asked for at once where a destination
// asked for a longer one: a delivery that waits for an hour would not notice that a person
// has resumed the destination.
const longestRest = 2 * time.Minute

// Rests returns how deliveries wait for a destination.
type Rests interface {
	// ResumedAt returns when a person last resumed a destination, by the ledger's
	// clock; zero where that is not known.
	ResumedAt(destination string) time.Time
	// AskAgain returns how long a delivery that waits had better rest before it asks
	// whether the destination was resumed: seconds, and longer the more there are.
	AskAgain(destination string) time.Duration
}

// checkRest returns the fault of a delivery that a destination has put off for long, while
// the time that it asked for lasts and no person has resumed it since. A person's wish
// for another attempt comes first.
func (s *Deliver) checkRest(in contract.DeliverInput, d *ledger.Delivery) error {
	left := d.NextAttemptAt.Sub(s.deps.Now())
	long := d.State == ledger.Retrying && d.NextAttemptAt.Sub(d.UpdatedAt) > longestRest
	if !long || in.Again || left <= time.Second || s.deps.Rests.ResumedAt(d.Destination).After(d.UpdatedAt) {
		return nil
	}

	f := fault.New(fault.DownstreamUnavailable, d.LastError)
	return &delayedError{error: f, delay: min(left, s.deps.Rests.AskAgain(d.Destination))}
}

// shortenWait shortens the wait after err to one that a resume can end soon. The ledger
// shows the whole wait.
func (s *Deliver) shortenWait(d *ledger.Delivery, err error) error {
	if delay := delayOf(err); delay > longestRest {
		return &delayedError{error: err, delay: min(delay, s.deps.Rests.AskAgain(d.Destination))}
	}
	return err
}
