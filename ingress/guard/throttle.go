package guard

import (
	"net/netip"
	"time"

	"mailroom/shared/config"
)

// Throttle refuses addresses that have lately sent more bad signatures than is
// allowed. It is a leaky bucket per address: each bad signature adds one, and
// failures leak away per period. IPv6 counts by /64, which is what one
// subscriber has. Loopback, the unknown address, and an address from which an
// authentic request came within a day are never refused: a sender that shares an
// address with a provider, or stands behind a proxy that is not declared, must not
// lock the provider out.
//
// It remembers 65,536 addresses with bad signatures and forgets the least bad of a
// sample.
type Throttle struct {
	off      bool
	failures float64
	leak     float64 // failures per nanosecond
	known    *Known  // nil: no address is spared
	bad      *table[badAddress]
}

// badAddress is the level of a bucket at a time, in Unix nanoseconds.
type badAddress struct {
	level float64
	at    int64
}

// NewThrottle returns a throttle that has counted nothing. It spares the addresses
// in known, which may be nil. Without failures or period, or with Off, it refuses
// no address.
func NewThrottle(c config.Throttle, known *Known) *Throttle {
	t := &Throttle{off: c.Off || c.Failures <= 0 || c.Per <= 0, known: known}
	if t.off {
		return t
	}
	t.failures = float64(c.Failures)
	t.leak = t.failures / float64(c.Per)
	t.bad = newTable(func(a, b badAddress, at int64) bool { return t.levelAt(a, at) < t.levelAt(b, at) })
	return t
}

// Refused reports whether a request from addr is refused before it is read, and
// when the next one would not be.
func (t *Throttle) Refused(addr netip.Addr, now time.Time) (retryAfter time.Duration, refused bool) {
	if t.ignores(addr) {
		return 0, false
	}
	key, at := keyOf(addr), now.UnixNano()
	bad, counted := t.bad.get(key)
	if !counted {
		return 0, false
	}

	level := t.levelAt(bad, at)
	if level <= t.failures-1 || (t.known != nil && t.known.has(key, at)) { // there is room for one more
		return 0, false
	}
	return max(time.Duration((level-t.failures+1)/t.leak), time.Millisecond), true
}

// Failed counts one bad signature from addr.
func (t *Throttle) Failed(addr netip.Addr, now time.Time) {
	if t.ignores(addr) {
		return
	}
	at := now.UnixNano()
	t.bad.update(keyOf(addr), at, func(bad badAddress) badAddress {
		// Not above failures: an address that stops is let in again after one has leaked.
		return badAddress{level: min(t.levelAt(bad, at)+1, t.failures), at: at}
	})
}

// ignores reports whether nothing is counted of addr.
func (t *Throttle) ignores(addr netip.Addr) bool {
	return t.off || !addr.IsValid() || addr.IsLoopback()
}

// levelAt is what is left of a bucket. A clock that went back leaks nothing.
func (t *Throttle) levelAt(bad badAddress, at int64) float64 {
	return max(0, bad.level-float64(max(0, at-bad.at))*t.leak)
}
