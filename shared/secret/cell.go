package secret

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"
)

// cell is one reference with its secret. Its zero secret means that it has not
// been resolved.
type cell struct {
	at      reference
	reading sync.Mutex // one reading at a time, so that no older text wins

	mu        sync.Mutex // guards what follows
	secret    Secret
	verifier  Secret    // shows what secret shows, or nothing that anybody knows
	updated   time.Time // zero: nothing has been found yet
	failing   bool
	since     time.Time
	missed    time.Time // since when it does not exist; zero: it does, or nobody knows
	gone      bool      // missed for long enough
	withdrawn bool
}

// there reports whether a text has been found.
func (c *cell) there() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.updated.IsZero()
}

// found takes a text that was read and says what that changes for a secret that
// had been resolved before.
func (c *cell) found(text string, now time.Time) (renewed, recovered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	recovered = c.failing
	if c.failing {
		c.failing, c.since = false, now
	}
	switch {
	case c.secret == Secret{}:
		c.secret, c.verifier, c.updated = New(text), New(text), now
	case c.updated.IsZero() || c.secret.Reveal() != text:
		c.secret.Set(text)
		c.verifier.Set(text)
		c.updated, renewed = now, true
	case c.withdrawn:
		c.verifier.Set(text)
	}
	c.missed, c.gone, c.withdrawn = time.Time{}, false, false
	return renewed, recovered
}

// missing notes that the secret does not exist, which counts when it is so for after;
// news says that it begins to count, withdrawn that the grace period ended with this.
// A secret that never was there does not count.
func (c *cell) missing(now time.Time, after, grace time.Duration) (until time.Time, news, withdrawn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.updated.IsZero() {
		return until, false, false
	}
	if c.missed.IsZero() {
		c.missed = now
	}
	if now.Sub(c.missed) < after {
		return until, false, false
	}
	until = c.missed.Add(grace)
	news, c.gone = !c.gone, true
	if !c.withdrawn && !now.Before(until) {
		c.withdrawn, withdrawn = true, true
		c.verifier.Set(nobodys())
	}
	return until, news, withdrawn
}

// nobodys returns text that nobody knows. The colon makes it fit for basic
// authentication.
func nobodys() string { return rand.Text() + ":" + rand.Text() }

// failed notes a reading that failed and reports whether that is news. That a
// secret which is only expected is not there is no failure.
func (c *cell) failed(err error, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing || c.updated.IsZero() && errors.Is(err, ErrNothing) {
		return false
	}
	c.failing, c.since = true, now
	return true
}

// expect puts random text in the place of a secret that is not there.
func (c *cell) expect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secret == (Secret{}) {
		text := nobodys()
		c.secret, c.verifier = New(text), New(text)
	}
}

// status gives the state of a secret that has been resolved or is expected.
func (c *cell) status(grace time.Duration) (Status, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := Status{Ref: c.at.text, Updated: c.updated, Failing: c.failing, Since: c.since, Gone: c.gone, Withdrawn: c.withdrawn}
	if c.gone {
		st.VerifiesUntil = c.missed.Add(grace)
	}
	return st, c.secret != Secret{}
}
