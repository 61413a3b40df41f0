package downstream

import (
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// How often a delivery checks again while its destination is paused or gone: every few
// seconds, so that a resume takes effect soon, and less often if many deliveries do.
const (
	pausedWait    = 10 * time.Second
	maxPausedWait = 5 * time.Minute
	// checksPerSecond is how many deliveries may check a destination in a second before
	// they have to wait longer.
	checksPerSecond = 50
)

// control is the latest pause or resume of a destination that this process knows.
type control struct {
	mu     sync.Mutex
	paused bool
	by     string
	at     time.Time // of the pause or resume, by the database's clock

	resumed time.Time // when a person last resumed it, by the same clock

	wait   time.Duration
	window time.Time // when the count began
	asked  int
}

// apply stores a pause or resume and reports whether it is a new resume.
func (c *control) apply(said ledger.Control) (resumed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if said.At.Equal(c.at) {
		return false
	}
	c.paused, c.by, c.at = said.Paused, said.Actor, said.At
	c.wait, c.asked = pausedWait, 0
	if !said.Paused {
		c.resumed = said.At
	}
	return !said.Paused
}

func (c *control) isPaused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused
}

// pause reports whether the destination is paused, the operator who paused it, and how
// long a delivery should wait before it checks again.
func (c *control) pause(now time.Time) (by string, wait time.Duration, paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused {
		return "", 0, false
	}
	return c.by, c.nextCheck(now), true
}

// checkAfter returns how long a delivery that waits for another reason should wait
// before it checks whether the destination was resumed.
func (c *control) checkAfter(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nextCheck(now)
}

// nextCheck counts the check of a delivery and returns the wait until its next one. c.mu
// must be held.
func (c *control) nextCheck(now time.Time) time.Duration {
	c.wait = max(c.wait, pausedWait)
	if passed := now.Sub(c.window); passed >= pausedWait {
		switch rate := float64(c.asked) / passed.Seconds(); {
		case rate > checksPerSecond:
			c.wait = min(c.wait*2, maxPausedWait)
		case rate < checksPerSecond/4:
			c.wait = max(c.wait/2, pausedWait)
		}
		c.window, c.asked = now, 0
	}
	c.asked++
	return c.wait + jitter(c.wait/2)
}

// pausedBy returns the outcome of a call to a destination that an operator has paused.
func pausedBy(operator string, wait time.Duration) outcome {
	return outcome{
		result: resultPaused,
		err:    fault.New(fault.DestinationPaused, "no call was made: the destination is paused by "+operator).After(wait),
	}
}

// lastCalls has the times of the last successful and the last failed call.
type lastCalls struct {
	mu               sync.Mutex
	success, failure time.Time
	why              string
}

// record stores the outcome of a call. Outcomes without a call, and calls that Mailroom
// cancelled, say nothing about the destination and are ignored.
func (s *lastCalls) record(o outcome, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch o.result {
	case resultDelivered:
		s.success = at
	case resultRetry, resultRejected, resultAmbiguous:
		s.failure, s.why = at, fault.From(o.err).Public
	case resultGone:
		if o.status != 0 { // this call, not an earlier one
			s.failure, s.why = at, fault.From(o.err).Public
		}
	}
}

// lastFailure returns how the last failed call ended, to follow a sentence; empty where
// none is known.
func (s *lastCalls) lastFailure() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(s.why, triedAgain)
}

// Obey applies pauses and resumes of operators, and stops after a 410 that other workers
// received. A new resume also ends a stop after 410. Controls of destinations that are
// not configured are ignored.
func (s *Sender) Obey(controls []ledger.Control) {
	for _, c := range controls {
		d, ok := s.destinations[c.Destination]
		if !ok {
			continue
		}
		resumed := d.control.apply(c)
		if recovered := d.waits.obey(c); resumed || recovered {
			d.gone.end.Store(0)
		}
		if !c.GoneUntil.IsZero() {
			d.gone.end.Store(c.GoneUntil.UnixNano())
		}
	}
}

// WakenAt returns when an operator last resumed a destination, or it has recovered, by the
// ledger's clock; zero if this process knows of neither.
func (s *Sender) WakenAt(name string) time.Time {
	d, ok := s.destinations[name]
	if !ok {
		return time.Time{}
	}
	d.control.mu.Lock()
	resumed := d.control.resumed
	d.control.mu.Unlock()

	if recovered := d.waits.recoveredAt(); recovered.After(resumed) {
		return recovered
	}
	return resumed
}

// Asked returns until when a destination has last asked to be left alone, and when it
// did, by the ledger's clock; zero if this process knows of no such answer.
func (s *Sender) Asked(name string) (at, until time.Time) {
	d, ok := s.destinations[name]
	if !ok {
		return time.Time{}, time.Time{}
	}
	return d.waits.lastAsked()
}

// AskAgain returns how long a delivery that waits for a destination should wait before
// it checks whether an operator has resumed it.
func (s *Sender) AskAgain(name string) time.Duration {
	d, ok := s.destinations[name]
	if !ok {
		return pausedWait
	}
	return d.control.checkAfter(time.Now())
}

// Status returns the state of each destination as this process knows it.
func (s *Sender) Status() []ledger.DestinationStatus {
	list := make([]ledger.DestinationStatus, 0, len(s.destinations))
	for name, d := range s.destinations {
		row := ledger.DestinationStatus{Destination: name, Breaker: ledger.BreakerClosed, InFlight: len(d.places)}
		switch d.breaker.State() {
		case gobreaker.StateOpen:
			row.Breaker = ledger.BreakerOpen
		case gobreaker.StateHalfOpen:
			row.Breaker = ledger.BreakerHalfOpen
		case gobreaker.StateClosed:
		}
		if at := d.probe.Load(); at != 0 && row.Breaker == ledger.BreakerOpen {
			row.ProbeAt = timeOrNil(time.Unix(0, at))
		}
		if until, gone := d.gone.until(); gone {
			row.GoneUntil = &until
		}

		d.seen.mu.Lock()
		row.LastSuccessAt, row.LastFailureAt, row.LastFailure = timeOrNil(d.seen.success), timeOrNil(d.seen.failure), d.seen.why
		d.seen.mu.Unlock()
		list = append(list, row)
	}
	return list
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
