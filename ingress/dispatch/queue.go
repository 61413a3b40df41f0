package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"mailroom/shared/postgres"
)

// freshShare is how many starts there are for one of new mail while older mail
// waits as well.
const freshShare = 4

// claim is a row that this process may start until its lease ends.
type claim struct {
	row   postgres.Waiting
	until time.Time
	fresh bool // accepted by this process; it has one of the reserved places
}

// claimQueue holds the claims that wait for their start. The oldest row goes first,
// except that every freshShare-th start is one of the fresh lane, so that new mail
// does not wait for the end of a backlog.
type claimQueue struct {
	filled   chan struct{} // holds a token after a put
	reserved atomic.Int64  // places of rows that are, or will be, in the fresh lane

	mu         sync.Mutex
	old, fresh []claim
	sinceFresh int // starts since the last one of the fresh lane
}

func newClaimQueue() *claimQueue { return &claimQueue{filled: make(chan struct{}, 1)} }

// reserve takes one of at most the given number of places in the fresh lane.
func (q *claimQueue) reserve(most int) bool {
	if q.reserved.Add(1) > int64(min(most, queueMost)) {
		q.reserved.Add(-1)
		return false
	}
	return true
}

// cancel returns n reserved places.
func (q *claimQueue) cancel(n int) { q.reserved.Add(int64(-n)) }

// put appends claims, which are all fresh or all not.
func (q *claimQueue) put(claims ...claim) {
	if len(claims) == 0 {
		return
	}

	q.mu.Lock()
	if claims[0].fresh {
		q.fresh = append(q.fresh, claims...)
	} else {
		q.old = append(q.old, claims...)
	}
	q.mu.Unlock()

	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// wait waits until a claim is there. It is false when ctx is done.
func (q *claimQueue) wait(ctx context.Context) bool {
	for {
		if ctx.Err() != nil {
			return false
		}

		q.mu.Lock()
		n := len(q.old) + len(q.fresh)
		q.mu.Unlock()
		if n > 0 {
			return true
		}

		select {
		case <-q.filled:
		case <-ctx.Done():
		}
	}
}

// pop removes and returns the claim whose turn it is, and returns its place.
func (q *claimQueue) pop() (claim, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()

	var lane *[]claim
	switch {
	case len(q.fresh) == 0 && len(q.old) == 0:
		return claim{}, false
	case len(q.fresh) == 0:
		lane = &q.old
	case len(q.old) == 0, q.sinceFresh >= freshShare-1, q.fresh[0].row.Email.ID < q.old[0].row.Email.ID:
		lane = &q.fresh
	default:
		lane = &q.old
	}

	c := (*lane)[0]
	(*lane)[0] = claim{} // what is started must not be kept alive
	*lane = (*lane)[1:]

	q.sinceFresh++
	if c.fresh {
		q.sinceFresh = 0
		q.cancel(1)
	}
	return c, true
}

// drain empties the queue and returns the ids of the rows that were in it.
func (q *claimQueue) drain() []int64 {
	var ids []int64
	for {
		c, ok := q.pop()
		if !ok {
			return ids
		}
		ids = append(ids, c.row.Email.ID)
	}
}

// oldLen returns how many claims of the inbox are left.
func (q *claimQueue) oldLen() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.old)
}
