package downstream

import (
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// quickAnswer is the longest time in which a quick destination answers.
	quickAnswer = time.Second
	// quickStreak is how many quick answers in a row make a destination quick.
	quickStreak = 5
	// defaultFastCalls is the number of fast attempts of one process at a time.
	defaultFastCalls = 24
)

// tempo measures how quickly a destination answers this process. A destination counts
// as slow until it has shown otherwise.
type tempo struct {
	mu      sync.Mutex
	streak  int // quick answers since the last call that was not quick
	overdue int // calls under way for longer than quickAnswer
}

// quick reports whether the last answers were all quick and no call is overdue.
func (t *tempo) quick() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.streak >= quickStreak && t.overdue == 0
}

// late reports whether a call has been under way for longer than quickAnswer.
func (t *tempo) late() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.overdue > 0
}

// begin is called when a call starts. The returned function is called once, when the
// call ends; answered tells whether there was an answer.
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
// occupies a workflow task while it lasts: the destination's last answers all came
// within a second, no call has been under way for longer, and the breaker is closed. It
// is also true while no call would be made, because the attempt then ends at once. A
// destination that does not honour the key is never quick: a lost workflow task repeats
// its local activities.
func (s *Sender) Quick(name string) bool {
	d, ok := s.destinations[name]
	if !ok {
		return true
	}
	return d.idempotent && (d.keptBack() || d.quick())
}

// Reserve takes one of the few places for calls of fast attempts, right before such a
// call. ok is false if no place is free or the destination is no longer quick; no fast
// call may be made then. done frees the place.
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

// keptBack reports whether a call would not be made now.
func (d *destination) keptBack() bool {
	_, gone := d.gone.until()
	return gone || d.control.isPaused() || d.breaker.State() == gobreaker.StateOpen
}
