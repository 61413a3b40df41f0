package guard

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"mailroom/shared/config"
)

// Throttle refuses addresses that have lately sent more bad signatures than is
// allowed. It is a leaky bucket per address: each bad signature adds one, and
// failures leak away per period. IPv6 counts by /64, which is what one
// subscriber has. Loopback, the unknown address, and an address from which an
// authentic request came within a day are never refused: who shares an
// address with a provider, or stands behind a proxy that nobody declared, must not
// lock the provider out.
//
// It remembers 65,536 addresses with bad signatures and forgets the least bad of a
// sample.
type Throttle struct {
	off      bool
	failures float64
	leak     float64 // failures per nanosecond
	known    *Known  // nil: no address is spared
	seed     maphash.Seed
	parts    [tableParts]throttlePart
}

// throttlePart holds the addresses of one hash, so that requests do not wait for
// each other.
type throttlePart struct {
	mu  sync.Mutex
	bad map[addressKey]badAddress
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
	t := &Throttle{off: c.Off || c.Failures <= 0 || c.Per <= 0, known: known, seed: maphash.MakeSeed()}
	if t.off {
		return t
	}
	t.failures = float64(c.Failures)
	t.leak = t.failures / float64(c.Per)
	for i := range t.parts {
		t.parts[i].bad = map[addressKey]badAddress{}
	}
	return t
}

// Refused reports whether a request from addr is refused before it is read, and
// when the next one would not be.
func (t *Throttle) Refused(addr netip.Addr, now time.Time) (retryAfter time.Duration, refused bool) {
	key, part := t.find(addr)
	if part == nil {
		return 0, false
	}
	at := now.UnixNano()
	part.mu.Lock()
	defer part.mu.Unlock()
	bad, known := part.bad[key]
	if !known {
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
	key, part := t.find(addr)
	if part == nil {
		return
	}
	at := now.UnixNano()
	part.mu.Lock()
	defer part.mu.Unlock()
	bad, known := part.bad[key]
	if !known && len(part.bad) >= partSize {
		t.forgetBad(part, at)
	}
	// Not above failures: who stops is let in again after one has leaked.
	part.bad[key] = badAddress{level: min(t.levelAt(bad, at)+1, t.failures), at: at}
}

// find gives the part that knows addr, nil where there is nothing to know.
func (t *Throttle) find(addr netip.Addr) (addressKey, *throttlePart) {
	if t.off || !addr.IsValid() || addr.IsLoopback() {
		return addressKey{}, nil
	}
	key := keyOf(addr)
	return key, &t.parts[maphash.Bytes(t.seed, key[:])%tableParts]
}

// levelAt is what is left of a bucket. A clock that went back leaks nothing.
func (t *Throttle) levelAt(bad badAddress, at int64) float64 {
	return max(0, bad.level-float64(max(0, at-bad.at))*t.leak)
}

// forgetBad drops the least bad of a few. Maps are walked from a random place, so
// that nobody can choose whom.
func (t *Throttle) forgetBad(part *throttlePart, at int64) {
	var least addressKey
	lowest, seen := 0.0, 0
	for key, bad := range part.bad {
		if level := t.levelAt(bad, at); seen == 0 || level < lowest {
			least, lowest = key, level
		}
		if seen++; seen == evictSample {
			break
		}
	}
	delete(part.bad, least)
}
