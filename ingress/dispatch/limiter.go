package dispatch

import (
	"sync"
	"time"
)

// The bounds of the limiter. Starts are slow from slowFloor on, and only when they
// take slowFactor times what one takes at best; one alone that is slow says nothing.
const (
	leastStarts, mostStarts, firstStarts = 1, 32, 4 // mostStarts unless the configuration says otherwise

	slowFloor  = 400 * time.Millisecond
	slowFactor = 4
)

// limiter bounds the starts in flight by what Temporal takes: one more for every
// round of good ones, fewer when they become slow, half when they fail.
type limiter struct {
	freed chan struct{} // holds a token after a release
	most  int

	mu       sync.Mutex
	limit    float64
	inFlight int
	base     time.Duration // what a start takes at best; it follows slowly upwards
	took     time.Duration // by a start lately, smoothed
	lastCut  time.Time
}

func newLimiter(most int) *limiter {
	return &limiter{limit: min(firstStarts, float64(most)), most: most, freed: make(chan struct{}, 1)}
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

// state is how many places are in use, and how many there are at the moment.
func (l *limiter) state() (inFlight, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inFlight, int(l.limit)
}

// restart goes back to the fewest, for a Temporal that has been away: what it took
// before says nothing of what it takes when it is back.
func (l *limiter) restart(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.lastCut = leastStarts, now
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
	l.took += (took - l.took) / 8
	switch {
	case failed:
		l.cut(0.5, took, now)
	case l.took > max(slowFloor, slowFactor*l.base):
		l.cut(0.8, took, now)
	case busy && now.Sub(l.lastCut) >= took: // it began after the last cut
		l.limit = min(float64(l.most), l.limit+1/l.limit)
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
