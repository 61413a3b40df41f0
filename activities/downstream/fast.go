package downstream

import (
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// quickAnswer is the longest that an answer of a quick destination takes.
	quickAnswer = time.Second
	// quickStreak is how many answers in a row make a destination a quick one.
	quickStreak = 5
	// defaultFastCalls is the number of fast attempts of one process at a time.
	defaultFastCalls = 24
)

// tempo is how quickly a destination answers, as this process has seen it. Nothing
// is known of a destination at first, and it counts as slow until it has shown
// otherwise.
type tempo struct {
	mu      sync.Mutex
	streak  int // quick answers since the last call that was none
	overdue int // calls under way for longer than quickAnswer
}

// quick reports whether the last answers were all quick and no call is overdue.
func (t *tempo) quick() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.streak >= quickStreak && t.overdue == 0
}

// late reports whether a call is under way for longer than a quick answer takes.
func (t *tempo) late() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.overdue > 0
}

// begin is called when a call starts. The function that it returns is called once,
// when the call ends: answered says that the destination gave an answer.
func (t *tempo) begin() (end func(answered bool)) {
	late := time.AfterFunc(quickAnswer, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.streak = 0
		t.overdue++
	})

	return func(answered bool) {
		inTime := late.Stop()
		t.mu.Lock()
		defer t.mu.Unlock()
		switch {
		case !inTime:
			t.streak = 0
			t.overdue--
		case answered:
			t.streak = min(t.streak+1, quickStreak)
		default:
			t.streak = 0
		}
	}
}

// Quick reports whether a first attempt at a destination may be a fast one, which
// holds a workflow task for as long as it lasts: the destination's last answers all
// came within a second, no call there has been under way for longer, and its breaker
// is closed. It is true as well while no call would be made at all, because then the
// attempt is over at once. A destination that does not honour the key is never quick:
// a workflow task that is lost repeats what was done in it.
func (s *Sender) Quick(name string) bool {
	d, ok := s.destinations[name]
	if !ok {
		return true
	}
	return d.idempotent && (d.keptBack() || d.quick())
}

// Reserve takes one of the few places for calls of fast attempts, right before such
// a call. It returns false when no place is free or the destination is not quick
// any more; then no fast call may be made. done frees the place.
func (s *Sender) Reserve(name string) (done func(), ok bool) {
	d, known := s.destinations[name]
	if !known || !d.idempotent || !d.quick() {
		return nil, false
	}
	select {
	case s.fast <- struct{}{}:
		return func() { <-s.fast }, true
	default:
		return nil, false
	}
}

func (d *destination) quick() bool {
	return d.breaker.State() == gobreaker.StateClosed && d.tempo.quick()
}

// keptBack reports whether no call would be made now.
func (d *destination) keptBack() bool {
	_, gone := d.goneUntil()
	return gone || d.control.isPaused() || d.breaker.State() == gobreaker.StateOpen
}
