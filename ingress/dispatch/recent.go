package dispatch

import (
	"sync"
	"time"
)

const (
	recentMost = 1024
	recentFor  = 30 * time.Second
)

// recentStarts remembers which rows this process has started, or is starting: the last
// recentMost of them, for recentFor.
type recentStarts struct {
	mu      sync.Mutex
	ring    [recentMost]struct{ id, at int64 } // at: Unix nanoseconds
	next    int
	started map[int64]bool // whether the start has succeeded
}

func newRecentStarts() *recentStarts {
	return &recentStarts{started: make(map[int64]bool, recentMost)}
}

// begin records that the start of id begins.
func (r *recentStarts) begin(id int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slot := &r.ring[r.next%recentMost]
	delete(r.started, slot.id)
	slot.id, slot.at = id, now.UnixNano()
	r.started[id] = false
	r.next++
}

// end records how the start of id ended.
func (r *recentStarts) end(id int64, started bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.started[id]; !ok {
		return
	}
	if started {
		r.started[id] = true
	} else {
		delete(r.started, id)
	}
}

// find reports whether the start of id has begun, and whether it has succeeded.
func (r *recentStarts) find(id int64) (begun, started bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	started, begun = r.started[id]
	return begun, started
}

// latest returns at most the given number of ids that have not failed, the latest first.
func (r *recentStarts) latest(now time.Time, most int) []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]int64, 0, min(most, recentMost))
	oldest := now.Add(-recentFor).UnixNano()

	for i := r.next - 1; i >= max(0, r.next-recentMost) && len(out) < most; i-- {
		slot := &r.ring[i%recentMost]
		if slot.at < oldest {
			break
		}
		if _, ok := r.started[slot.id]; ok {
			out = append(out, slot.id)
		}
	}
	return out
}
