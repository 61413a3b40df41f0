package downstream

import (
	"sync"
	"time"

	"mailroom/shared/ledger"
)

const (
	// askedSlack is by how much a Retry-After has to differ from the one that is known for
	// all workers to learn it.
	askedSlack = 10 * time.Second
	// recoverEvery bounds how often the mail that waits for a destination is woken because
	// it has recovered: no more often than the longest wait of the retry policy, so that mail
	// which alone makes a destination fail is not tried again and again.
	recoverEvery = 5 * time.Minute
	// openLasts is how long the mail that an open breaker kept back may still wait.
	openLasts = 5 * time.Minute
)

// waits is what the answers of a destination say about the mail that waits for it. It is
// safe for concurrent use.
type waits struct {
	mu        sync.Mutex
	askedAt   time.Time // by the database's clock, as the next two
	asked     time.Time // until when it asked to be left alone
	recovered time.Time
	opened    time.Time // until when mail may wait because the breaker was open
	woken     time.Time // when this process last saved that it has recovered
}

// obey takes over what the ledger knows, and reports whether that is a new recovery.
func (w *waits) obey(c ledger.Control) (recovered bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	recovered = c.RecoveredAt.After(w.recovered)
	w.recovered, w.askedAt, w.asked = c.RecoveredAt, c.AskedAt, c.AskedUntil
	if recovered {
		w.opened = time.Time{}
	}
	return recovered
}

// ask notes that an answer asked for a wait, and reports whether the other workers have to
// learn it: it is not what is known.
func (w *waits) ask(now time.Time, wait time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	until := now.Add(wait)
	if wait <= 0 || until.Sub(w.asked).Abs() <= askedSlack {
		return false
	}
	w.asked = until
	return true
}

// open notes that the breaker has kept a call back.
func (w *waits) open(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = now.Add(openLasts)
}

// recover notes that the destination took mail, and reports whether that wakes what waits
// for it: it was stopped until goneUntil (Unix nanoseconds), had asked to be left alone,
// or its breaker was open a moment ago.
func (w *waits) recover(now time.Time, goneUntil int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := time.Unix(0, goneUntil).After(now)
	if !gone && !w.asked.After(now) && !w.opened.After(now) {
		return false
	}
	w.asked, w.opened = time.Time{}, time.Time{}
	if !gone && now.Sub(w.woken) < recoverEvery {
		return false
	}
	w.woken = now
	return true
}

func (w *waits) recoveredAt() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.recovered
}

func (w *waits) lastAsked() (at, until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.askedAt, w.asked
}
