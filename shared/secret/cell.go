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
	reading sync.Mutex // one read at a time, so that an older text never replaces a newer one

	mu        sync.Mutex // guards what follows
	secret    Secret
	verifier  Secret    // reveals the same, or unguessable text
	updated   time.Time // zero: not read yet
	failing   bool
	since     time.Time
	missed    time.Time // since when it does not exist; zero: it does, or its store has not answered
	gone      bool      // missed for long enough
	withdrawn bool
}

// there reports whether a text has been found.
func (c *cell) there() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.updated.IsZero()
}

// found sets the text that was read. It returns what changed for a secret that was
// resolved before.
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

// missing records that the secret does not exist. After the time after, it counts as gone;
// news is true for the call that makes it so, withdrawn for the one that ends the grace
// period. An expected secret that never existed is never gone.
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
		c.verifier.Set(unguessable())
	}
	return until, news, withdrawn
}

// unguessable returns random text. The colon makes it valid for basic authentication.
func unguessable() string { return rand.Text() + ":" + rand.Text() }

// failed records a failed read and returns whether it is the first in a row. The absence
// of an expected secret is no failure.
func (c *cell) failed(err error, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failing || c.updated.IsZero() && errors.Is(err, ErrNothing) {
		return false
	}
	c.failing, c.since = true, now
	return true
}

// expect sets random text while the secret does not exist.
func (c *cell) expect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secret == (Secret{}) {
		text := unguessable()
		c.secret, c.verifier = New(text), New(text)
	}
}

// status returns the state of a secret, false unless it is resolved or expected.
func (c *cell) status(grace time.Duration) (Status, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := Status{Ref: c.at.text, Updated: c.updated, Failing: c.failing, Since: c.since, Gone: c.gone, Withdrawn: c.withdrawn}
	if c.gone {
		st.VerifiesUntil = c.missed.Add(grace)
	}
	return st, c.secret != Secret{}
}
