package guard

import (
	"net/netip"
	"time"

	"mailroom/shared/config"
)

// Throttle refuses requests from addresses that have lately sent too many bad
// signatures. It keeps a leaky bucket per IPv4 address or IPv6 /64: each bad signature
// adds one, and config.Throttle.Failures leak per config.Throttle.Per. Loopback, a
// missing address and known addresses are never refused: a sender that shares an address
// with a provider, or comes through an undeclared proxy, must not lock the provider out.
//
// It remembers 65,536 addresses and then forgets the lowest bucket of a sample. It is
// safe for concurrent use.
type Throttle struct {
	off      bool
	failures float64
	leak     float64 // failures per nanosecond
	known    *Known  // nil: no address is exempt
	bad      *table[badAddress]
}

// badAddress is the level of a bucket at the time at, in Unix nanoseconds.
type badAddress struct {
	level float64
	at    int64
}

// NewThrottle returns a Throttle with empty buckets. Addresses in known, which may be
// nil, are exempt. If c.Off is set, or Failures or Per is not positive, it refuses no
// address.
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

// Refused reports whether a request from addr is to be refused before it is read, and if
// so, how long until one is admitted again (at least 1 ms).
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

// Failed counts one bad signature from addr. The bucket never exceeds Failures.
func (t *Throttle) Failed(addr netip.Addr, now time.Time) {
	if t.ignores(addr) {
		return
	}
	at := now.UnixNano()
	t.bad.update(keyOf(addr), at, func(bad badAddress) badAddress {
		// Not above failures: an address that stops is admitted again after one has leaked.
		return badAddress{level: min(t.levelAt(bad, at)+1, t.failures), at: at}
	})
}

// ignores reports whether addr is neither counted nor refused.
func (t *Throttle) ignores(addr netip.Addr) bool {
	return t.off || !addr.IsValid() || addr.IsLoopback()
}

// levelAt returns the level of a bucket at the time at. If the clock has gone backwards,
// nothing has leaked.
func (t *Throttle) levelAt(bad badAddress, at int64) float64 {
	return max(0, bad.level-float64(max(0, at-bad.at))*t.leak)
}
