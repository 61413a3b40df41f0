package downstream

import (
	"sync"
	"time"

	"mailroom/shared/fault"
)

// defaultRegularCalls is the number of calls of regular attempts of one process at a
// time.
const defaultRegularCalls = 300

// bulkhead shares the calls of regular attempts out. Each call holds one of the
// worker's places for activities, and a destination that never answers holds it until
// its timeout: many of those must leave places for the others. One half is divided
// evenly among the destinations; what a destination takes beyond its share is from the
// other half, which is closed to one that has an overdue call.
type bulkhead struct {
	share int // what every destination may hold at any time

	mu     sync.Mutex
	common int            // places that are left beyond the shares
	held   map[string]int // of the shares, by destination
}

func newBulkhead(calls, destinations int) *bulkhead {
	half := calls / 2
	return &bulkhead{share: max(1, half/max(destinations, 1)), common: calls - half, held: map[string]int{}}
}

// enter takes a place for a call; false means that there is none for this destination.
// late says that a call of it is overdue. leave frees the place.
func (b *bulkhead) enter(destination string, late bool) (leave func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.held[destination] < b.share:
		b.held[destination]++
		return func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.held[destination]--
		}, true
	case b.common > 0 && !late:
		b.common--
		return func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.common++
		}, true
	}
	return nil, false
}

// Admit takes a place for the call of a regular attempt. The error is Overloaded where
// the destination holds its share, and the others hold what is left; no call may be
// made then. done frees the place.
func (s *Sender) Admit(name string) (done func(), err error) {
	d, known := s.destinations[name]
	if !known {
		return func() {}, nil // Send refuses it
	}
	done, ok := s.bulkhead.enter(name, d.tempo.late())
	if !ok {
		return nil, fault.New(fault.Overloaded, "too many calls to destinations are under way").After(d.busyWait())
	}
	return done, nil
}

// busyWait returns when an attempt that found no place had better come again: where a
// call is overdue, places come back by its timeout.
func (d *destination) busyWait() time.Duration {
	if d.tempo.late() {
		return max(d.timeout/2, busyWait) + jitter(d.timeout/2)
	}
	return busyWait + jitter(busyWait)
}
