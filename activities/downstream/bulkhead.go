package downstream

import (
	"sync"
	"time"

	"mailroom/shared/fault"
)

// defaultRegularCalls is the number of calls of regular attempts of one process at a
// time.
const defaultRegularCalls = 300

// bulkhead divides the calls of regular attempts among destinations. Each call occupies
// one of the worker's places for activities, and at a destination that never answers it
// does so until the timeout: many of these must leave places for the others. One half
// is divided evenly among the destinations. Beyond its share a destination uses the
// other half, unless one of its calls is overdue.
type bulkhead struct {
	share int // calls that each destination may always have

	mu     sync.Mutex
	common int            // free places beyond the shares
	held   map[string]int // used places of the shares, by destination
}

func newBulkhead(calls, destinations int) *bulkhead {
	half := calls / 2
	return &bulkhead{share: max(1, half/max(destinations, 1)), common: calls - half, held: map[string]int{}}
}

// enter takes a place for a call; ok is false if there is none for this destination.
// late means that one of its calls is overdue. leave frees the place.
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

// Admit takes a place for the call of a regular attempt. It fails with Overloaded if the
// destination's share and the common places are in use; no call may be made then. done
// frees the place.
func (s *Sender) Admit(name string) (done func(), err error) {
	d, known := s.destinations[name]
	if !known {
		return func() {}, nil // unknown: Send refuses it
	}
	done, ok := s.bulkhead.enter(name, d.tempo.late())
	if !ok {
		return nil, fault.New(fault.Overloaded, "no call was made: too many calls to destinations are under way").After(d.busyWait())
	}
	return done, nil
}

// busyWait returns how long an attempt that found no place should wait: if a call is
// overdue, a place may be free only after its timeout.
func (d *destination) busyWait() time.Duration {
	if d.tempo.late() {
		return max(d.timeout/2, busyWait) + jitter(d.timeout/2)
	}
	return busyWait + jitter(busyWait)
}
