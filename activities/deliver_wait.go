package activities

import (
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// longestRest is the longest wait that Temporal is asked for at once where the next attempt
// comes later: a delivery that waits for an hour would not notice that a person has resumed
// the destination, or that it takes mail again.
const longestRest = 20 * time.Second

// Rests returns how deliveries wait for a destination. Its times are by the ledger's clock
// and zero where nothing is known.
type Rests interface {
	// WakenAt returns when a person last resumed a destination, or it took mail again
	// after it was stopped or had asked to be left alone.
	WakenAt(destination string) time.Time
	// Asked returns until when a destination has last asked to be left alone, and when.
	Asked(destination string) (at, until time.Time)
	// AskAgain returns how long a delivery that waits had better rest before it asks
	// again: seconds, and longer the more there are.
	AskAgain(destination string) time.Duration
}

// checkRest returns the fault of a delivery whose next attempt is not due: the time that
// was set then lasts, no person has resumed the destination since, it has not recovered,
// and it has not asked for less. A person's wish for another attempt comes first.
func (s *Deliver) checkRest(in contract.DeliverInput, d *ledger.Delivery) error {
	due := d.NextAttemptAt
	if at, until := s.deps.Rests.Asked(d.Destination); at.After(d.UpdatedAt) && until.Before(due) {
		due = until
	}

	left := due.Sub(s.deps.Now())
	long := d.State == ledger.Retrying && d.NextAttemptAt.Sub(d.UpdatedAt) > longestRest
	if !long || in.Again || in.Now || left <= time.Second || s.deps.Rests.WakenAt(d.Destination).After(d.UpdatedAt) {
		return nil
	}

	f := fault.New(fault.DownstreamUnavailable, d.LastError)
	return &delayedError{error: f, delay: min(left, s.deps.Rests.AskAgain(d.Destination))}
}

// shortenWait shortens the wait after err to one that is soon noticed to be over. The
// ledger shows the whole wait. A pause, and a stop after 410, ask for such a wait already.
func (s *Deliver) shortenWait(d *ledger.Delivery, err error) error {
	if f := fault.From(err); f.Code == fault.DestinationPaused || f.Code == fault.DownstreamGone {
		return err
	}
	if delay := delayOf(err); delay > longestRest {
		return &delayedError{error: err, delay: min(delay, s.deps.Rests.AskAgain(d.Destination))}
	}
	return err
}
