package guard

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// How long an address counts as known after an authentic request, and how many
// addresses of each kind one part of a table holds.
const (
	goodFor     = 24 * time.Hour
	tableParts  = 64
	partSize    = 1024
	evictSample = 8
)

// addressKey is an address as the tables know it, without pointers: an IPv4
// address or an IPv6 /64. The unknown address has the zero key.
type addressKey [16]byte

// keyOf returns the key of the subscriber that addr belongs to.
func keyOf(addr netip.Addr) addressKey {
	if !addr.IsValid() {
		return addressKey{}
	}
	key := addressKey(addr.As16())
	if addr.Is6() && !addr.Is4In6() {
		clear(key[8:])
	}
	return key
}

// Known remembers from which addresses authentic requests came within a day. It
// holds 65,536 addresses and forgets the oldest of a sample. Only authentic requests
// add to it, so that no stranger can make it forget. It is safe for many requests at
// once; it starts empty with each process.
type Known struct {
	seed  maphash.Seed
	parts [tableParts]knownPart
}

// knownPart holds the addresses of one hash, so that requests do not wait for each
// other.
type knownPart struct {
	mu   sync.Mutex
	last map[addressKey]int64 // the last authentic request, Unix nanoseconds
}

// NewKnown returns a table without addresses.
func NewKnown() *Known {
	k := &Known{seed: maphash.MakeSeed()}
	for i := range k.parts {
		k.parts[i].last = map[addressKey]int64{}
	}
	return k
}

// Note records an authentic request from addr.
func (k *Known) Note(addr netip.Addr, now time.Time) { k.note(keyOf(addr), now) }

func (k *Known) note(key addressKey, now time.Time) {
	part := k.part(key)
	part.mu.Lock()
	defer part.mu.Unlock()
	if _, known := part.last[key]; !known && len(part.last) >= partSize {
		part.forgetOldest()
	}
	part.last[key] = now.UnixNano()
}

// Has reports whether an authentic request came from addr within a day.
func (k *Known) Has(addr netip.Addr, now time.Time) bool {
	return k.has(keyOf(addr), now.UnixNano())
}

func (k *Known) has(key addressKey, at int64) bool {
	part := k.part(key)
	part.mu.Lock()
	defer part.mu.Unlock()
	last, known := part.last[key]
	return known && at-last < int64(goodFor)
}

func (k *Known) part(key addressKey) *knownPart {
	return &k.parts[maphash.Bytes(k.seed, key[:])%tableParts]
}

// forgetOldest drops the oldest of a few. Maps are walked from a random place, so
// that no sender can choose which.
func (p *knownPart) forgetOldest() {
	var oldest addressKey
	var since int64
	seen := 0
	for key, at := range p.last {
		if seen == 0 || at < since {
			oldest, since = key, at
		}
		if seen++; seen == evictSample {
			break
		}
	}
	delete(p.last, oldest)
}
