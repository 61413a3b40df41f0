package ingress

import (
	"sync"
	"time"
)

// The bounds of the limiter. A start is slow from slowFloor on, and only when it
// takes slowFactor times what starts take at best.
const (
	leastStarts, mostStarts, firstStarts = 1, 32, 4

	slowFloor  = 250 * time.Millisecond
	slowFactor = 4
)

// limiter bounds the starts in flight by what Temporal takes: one more for every
// round of good ones, fewer when they become slow, half when they fail.
type limiter struct {
	freed chan struct{} // holds a token after a release

	mu       sync.Mutex
	limit    float64
	inFlight int
	base     time.Duration // what a start takes at best; it follows slowly upwards
	lastCut  time.Time
}

func newLimiter() *limiter {
	return &limiter{limit: firstStarts, freed: make(chan struct{}, 1)}
}

// tryAcquire takes a place when fewer than the limit, and fewer than most, are taken.
func (l *limiter) tryAcquire(most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight >= min(most, int(l.limit)) {
		return false
	}
	l.inFlight++
	return true
}

// taken is how many places are in use.
func (l *limiter) taken() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inFlight
}

// cancel gives a place back that was not used.
func (l *limiter) cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
}

// release gives the place back and learns from how the start went.
func (l *limiter) release(took time.Duration, failed bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	busy := float64(l.inFlight) >= l.limit/2
	l.inFlight--
	if !failed && (l.base == 0 || took < l.base) {
		l.base = took
	}
	l.base += l.base / 1000
	switch {
	case failed:
		l.cut(0.5, took, now)
	case took > max(slowFloor, slowFactor*l.base):
		l.cut(0.8, took, now)
	case busy:
		l.limit = min(mostStarts, l.limit+1/l.limit)
	}
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// cut lowers the limit once per round: starts that were in flight together tell
// the same story.
func (l *limiter) cut(factor float64, took time.Duration, now time.Time) {
	if now.Sub(l.lastCut) < took {
		return
	}
	l.limit, l.lastCut = max(leastStarts, l.limit*factor), now
}
