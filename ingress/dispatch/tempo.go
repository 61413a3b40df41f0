package dispatch

import (
	"sync"
	"time"
)

const (
	// firstGuess is what a start is taken to last until one has ended.
	firstGuess = 100 * time.Millisecond
	// A row that waits for hiccup says something about those behind it.
	hiccup = 250 * time.Millisecond
)

// tempo tells how fast starts go lately, whatever it is that slows them down:
// Temporal's answers, workers that are behind, or the acceptor.
type tempo struct {
	mu    sync.Mutex
	took  time.Duration // by one start, smoothed
	gap   time.Duration // between two starts while rows waited, smoothed
	since time.Time     // when the next row began to wait; zero: none does
	ended [rateSeconds + 1]struct {
		second int64
		starts int
	}
}

// rateSeconds is over how many seconds the rate of starts is taken.
const rateSeconds = 10

func newTempo() *tempo { return &tempo{took: firstGuess} }

// waits notes that a row waits for its start.
func (t *tempo) waits(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() {
		t.since = now
	}
}

// began notes that it has been started.
func (t *tempo) began(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gap += (now.Sub(t.since) - t.gap) / 16
	t.since = time.Time{}
}

// finished notes how long a start took and whether it was one.
func (t *tempo) finished(took time.Duration, started bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took += (took - t.took) / 8
	if !started {
		return
	}
	second := now.Unix()
	b := &t.ended[second%int64(len(t.ended))]
	if b.second != second {
		b.second, b.starts = second, 0
	}
	b.starts++
}

// room is how many rows can be started before half of what a lease leaves them is
// over, with atOnce starts in flight; at least 1.
func (t *tempo) room(now time.Time, atOnce int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.within((Lease-t.took)/2, now, atOnce)
}

// freshRoom is how many fresh rows can be started within a second beside old ones;
// at least 1.
func (t *tempo) freshRoom(now time.Time, atOnce int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.within(time.Second/freshShare, now, atOnce)
}

func (t *tempo) within(d time.Duration, now time.Time, atOnce int) int {
	each := max(t.gap, t.took/time.Duration(max(atOnce, 1)), time.Microsecond)
	if waits := now.Sub(t.since); !t.since.IsZero() && waits >= hiccup {
		each = max(each, waits)
	}
	return int(max(1, d/each))
}

// perSecond is the rate of starts over the last rateSeconds whole seconds.
func (t *tempo) perSecond(now time.Time) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, b := range t.ended {
		if age := now.Unix() - b.second; age >= 1 && age <= rateSeconds {
			n += b.starts
		}
	}
	return float64(n) / rateSeconds
}
