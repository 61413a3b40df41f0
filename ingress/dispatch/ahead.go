package dispatch

import (
	"context"
	"sync"
	"time"
)

// Bounds of how far starts may run ahead of the workers.
const (
	// mostAhead is how many emails may be started that no worker has stored yet,
	// unless the configuration says otherwise. More would wait in Temporal's task
	// queues, where each costs a write and a read more than in the inbox, and where
	// new mail could not pass.
	mostAhead   = 64
	lookTimeout = 500 * time.Millisecond
	// While the workers take nothing looks become rarer, down to one in lookSlowest.
	lookEvery   = 10 * time.Millisecond
	lookSlowest = 400 * time.Millisecond

	latelyMost = 1024
	latelyFor  = 30 * time.Second
)

// ahead keeps starts from running away from the workers, those of all ingresses
// together. It is used by one goroutine.
type ahead struct {
	inbox  Inbox
	lately *lately
	most   int // less than 0: any number
	known  int // at the last look
	since  int // started by us since
	looked time.Time
	every  time.Duration
}

// allow gives how long the next start must wait before it asks again; 0 means that
// it is in place. Where the inbox cannot be asked, starts go on: what stands in
// the way of them then is something else.
func (a *ahead) allow(ctx context.Context, now time.Time) time.Duration {
	if a.most < 0 || a.known+a.since < a.most/2 {
		return 0
	}
	if now.Sub(a.looked) >= a.every {
		before := a.known
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		n, err := a.inbox.CountAhead(ctx, 2*a.most, a.lately.ids(now, 2*a.most))
		cancel()
		if err != nil {
			n = 0
		}
		a.known, a.since, a.looked = n, 0, now
		if n >= a.most && n >= before {
			a.every = min(2*a.every, lookSlowest)
		} else {
			a.every = lookEvery
		}
	}
	if a.known+a.since < a.most {
		return 0
	}
	return max(a.looked.Add(a.every).Sub(now), time.Millisecond)
}

// started notes one more.
func (a *ahead) started() { a.since++ }

// lately remembers which rows this process has started, or is starting: the last
// latelyMost of them, for latelyFor.
type lately struct {
	mu    sync.Mutex
	ring  [latelyMost]struct{ id, at int64 } // at: Unix nanoseconds
	next  int
	known map[int64]bool // whether the start has succeeded
}

func newLately() *lately { return &lately{known: make(map[int64]bool, latelyMost)} }

// add notes that the start of id begins.
func (l *lately) add(id int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := &l.ring[l.next%latelyMost]
	delete(l.known, slot.id)
	slot.id, slot.at = id, now.UnixNano()
	l.known[id] = false
	l.next++
}

// settle notes how the start of id ended.
func (l *lately) settle(id int64, started bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.known[id]; !ok {
		return
	}
	if started {
		l.known[id] = true
	} else {
		delete(l.known, id)
	}
}

// has reports whether id is on its way, or started.
func (l *lately) has(id int64) (known, started bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	started, known = l.known[id]
	return known, started
}

// ids gives the most latest of those that have not failed.
func (l *lately) ids(now time.Time, most int) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]int64, 0, min(most, latelyMost))
	oldest := now.Add(-latelyFor).UnixNano()
	for i := l.next - 1; i >= max(0, l.next-latelyMost) && len(out) < most; i-- {
		slot := &l.ring[i%latelyMost]
		if slot.at < oldest {
			break
		}
		if _, ok := l.known[slot.id]; ok {
			out = append(out, slot.id)
		}
	}
	return out
}
