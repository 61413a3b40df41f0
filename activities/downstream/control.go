package downstream

import (
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// How often a delivery asks again while its destination is paused or gone: soon, so
// that a resume is felt within seconds, and less often the more there are that ask.
const (
	pausedWait    = 10 * time.Second
	maxPausedWait = 5 * time.Minute
	// askedPerSecond is how many deliveries that wait for a destination may ask this
	// process again in a second before they are told to wait for longer.
	askedPerSecond = 50
)

// control is what people said of a destination, as this process knows it.
type control struct {
	mu     sync.Mutex
	paused bool
	by     string
	at     time.Time // of what was said, by the database's clock

	resumed time.Time // when a person last said so, by the same clock

	wait   time.Duration
	window time.Time // when the count began
	asked  int
}

// obey takes over what was said and reports whether it resumes the destination: it
// was said since, and it is no pause.
func (c *control) obey(said ledger.Control) (resumed bool) {
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

// holds reports whether the destination is paused, by whom, and for how long a
// delivery that asks now had better wait.
func (c *control) holds(now time.Time) (by string, wait time.Duration, paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused {
		return "", 0, false
	}
	return c.by, c.ask(now), true
}

// asksAgain returns for how long a delivery that waits for another reason had better
// wait before it looks whether the destination was resumed.
func (c *control) asksAgain(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ask(now)
}

// ask counts a delivery that asks and returns its wait; c.mu is held.
func (c *control) ask(now time.Time) time.Duration {
	c.wait = max(c.wait, pausedWait)
	if passed := now.Sub(c.window); passed >= pausedWait {
		switch rate := float64(c.asked) / passed.Seconds(); {
		case rate > askedPerSecond:
			c.wait = min(c.wait*2, maxPausedWait)
		case rate < askedPerSecond/4:
			c.wait = max(c.wait/2, pausedWait)
		}
		c.window, c.asked = now, 0
	}
	c.asked++
	return c.wait + jitter(c.wait/2)
}

// pausedBy is what becomes of a call while a person has paused the destination.
func pausedBy(who string, wait time.Duration) outcome {
	return outcome{
		result: resultPaused,
		err:    fault.New(fault.DestinationPaused, "the destination is paused by "+who).After(wait),
	}
}

// seen is when calls to a destination last ended well and badly.
type seen struct {
	mu               sync.Mutex
	success, failure time.Time
	why              string
}

// note takes the end of a call. What made no call, or was cut short by us, says
// nothing of the destination.
func (s *seen) note(o outcome, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch o.result {
	case resultDelivered:
		s.success = at
	case resultRetry, resultRejected, resultAmbiguous:
		s.failure, s.why = at, fault.From(o.err).Public
	case resultGone:
		if o.status != 0 { // now, and not lately
			s.failure, s.why = at, fault.From(o.err).Public
		}
	}
}

// Obey takes over what people said of destinations, and what other workers have
// learnt. A resume that is new ends a stop after 410 as well. What is said of a
// destination that is not configured changes nothing.
func (s *Sender) Obey(controls []ledger.Control) {
	for _, c := range controls {
		d, ok := s.destinations[c.Destination]
		if !ok {
			continue
		}
		if d.control.obey(c) {
			d.gone.Store(0)
		}
		if !c.GoneUntil.IsZero() {
			d.gone.Store(c.GoneUntil.UnixNano())
		}
	}
}

// ResumedAt returns when a person last resumed a destination, by the ledger's clock;
// zero where none has, as far as this process knows.
func (s *Sender) ResumedAt(name string) time.Time {
	d, ok := s.destinations[name]
	if !ok {
		return time.Time{}
	}
	d.control.mu.Lock()
	defer d.control.mu.Unlock()
	return d.control.resumed
}

// AskAgain returns how long a delivery that waits for a destination had better rest
// before it asks whether a person has resumed it.
func (s *Sender) AskAgain(name string) time.Duration {
	d, ok := s.destinations[name]
	if !ok {
		return pausedWait
	}
	return d.control.asksAgain(time.Now())
}

// Status says how each destination does, as this process sees it.
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
		if until, gone := d.goneUntil(); gone {
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
