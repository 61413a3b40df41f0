package dispatch

import (
	"context"
	"sync"
	"time"

	"mailroom/shared/postgres"
)

// freshShare is how many starts there are for one of new mail while older mail
// waits as well.
const freshShare = 4

// claim is a row that is ours to start until its lease ends.
type claim struct {
	row   postgres.Waiting
	until time.Time
	fresh bool // accepted by this process; it has one of the starter's places
}

// lanes hold the claims that wait for their start. The oldest row goes first,
// except that every freshShare-th start is one of the fresh lane, so that new mail
// does not wait for the end of a backlog.
type lanes struct {
	filled chan struct{} // holds a token after a put

	mu         sync.Mutex
	old, fresh []claim
	turn       int // starts since the last fresh one
}

func newLanes() *lanes { return &lanes{filled: make(chan struct{}, 1)} }

// put appends claims, which are all fresh or all not.
func (l *lanes) put(claims ...claim) {
	if len(claims) == 0 {
		return
	}
	l.mu.Lock()
	if claims[0].fresh {
		l.fresh = append(l.fresh, claims...)
	} else {
		l.old = append(l.old, claims...)
	}
	l.mu.Unlock()
	select {
	case l.filled <- struct{}{}:
	default:
	}
}

// wait waits for a claim to be there. It is false when ctx is done.
func (l *lanes) wait(ctx context.Context) bool {
	for {
		if ctx.Err() != nil {
			return false
		}
		l.mu.Lock()
		n := len(l.old) + len(l.fresh)
		l.mu.Unlock()
		if n > 0 {
			return true
		}
		select {
		case <-l.filled:
		case <-ctx.Done():
		}
	}
}

// next takes out whose turn it is.
func (l *lanes) next() (claim, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lane *[]claim
	switch {
	case len(l.fresh) == 0 && len(l.old) == 0:
		return claim{}, false
	case len(l.fresh) == 0:
		lane = &l.old
	case len(l.old) == 0, l.turn >= freshShare-1, l.fresh[0].row.Email.ID < l.old[0].row.Email.ID:
		lane = &l.fresh
	default:
		lane = &l.old
	}
	c := (*lane)[0]
	(*lane)[0] = claim{} // what is started must not be kept alive
	*lane = (*lane)[1:]
	l.turn++
	if c.fresh {
		l.turn = 0
	}
	return c, true
}

// waitingOld is how many claims of the inbox are left.
func (l *lanes) waitingOld() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.old)
}
