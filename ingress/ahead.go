package ingress

import (
	"context"
	"time"
)

// Bounds of how far starts may run ahead of the workers.
const (
	// mostAhead is how many emails may be started that no worker has stored yet.
	// More would wait in Temporal's task queues, where each costs a write and a
	// read more than in the inbox, and where new mail could not pass.
	mostAhead   = 64
	lookEvery   = 50 * time.Millisecond
	lookTimeout = 2 * time.Second
)

// ahead keeps starts from running away from the workers, those of all ingresses
// together. It is used by one goroutine.
type ahead struct {
	inbox  Inbox
	known  int // at the last look
	since  int // started by us since
	looked time.Time
}

// allow reports whether one more start is in place. unmarked is how many of ours
// are on their way, and so not in the inbox's count. Where the inbox cannot be
// asked, starts go on: what stands in the way of them then is something else.
func (a *ahead) allow(ctx context.Context, now time.Time, unmarked int) bool {
	if a.known+a.since < mostAhead/2 {
		return true
	}
	if now.Sub(a.looked) >= lookEvery {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		n, err := a.inbox.CountAhead(ctx, 2*mostAhead)
		if err != nil {
			n = 0
		}
		a.known, a.since, a.looked = n, unmarked, now
	}
	return a.known+a.since < mostAhead
}

// started notes one more.
func (a *ahead) started() { a.since++ }
