package guard

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

// Bounds of a table: how many parts it has, how many addresses one part holds, and
// among how many the one that is forgotten is chosen.
const (
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

// table remembers a value for each of at most 65,536 addresses and forgets the least
// of a sample. It is safe for many requests at once.
type table[V any] struct {
	less  func(a, b V, at int64) bool
	seed  maphash.Seed
	parts [tableParts]tablePart[V]
}

// tablePart holds the addresses of one hash, so that requests do not wait for each
// other.
type tablePart[V any] struct {
	mu   sync.Mutex
	rows map[addressKey]V
}

// newTable returns a table without addresses. less reports whether a is forgotten
// before b, both as they are at a time in Unix nanoseconds.
func newTable[V any](less func(a, b V, at int64) bool) *table[V] {
	t := &table[V]{less: less, seed: maphash.MakeSeed()}
	for i := range t.parts {
		t.parts[i].rows = map[addressKey]V{}
	}
	return t
}

// get returns the value of key, and whether there is one.
func (t *table[V]) get(key addressKey) (V, bool) {
	part := t.part(key)
	part.mu.Lock()
	defer part.mu.Unlock()
	value, ok := part.rows[key]
	return value, ok
}

// update sets the value of key to what change makes of it at a time; without a value
// it is the zero one.
func (t *table[V]) update(key addressKey, at int64, change func(V) V) {
	part := t.part(key)
	part.mu.Lock()
	defer part.mu.Unlock()
	value, ok := part.rows[key]
	if !ok && len(part.rows) >= partSize {
		t.forget(part, at)
	}
	part.rows[key] = change(value)
}

func (t *table[V]) part(key addressKey) *tablePart[V] {
	return &t.parts[maphash.Bytes(t.seed, key[:])%tableParts]
}

// forget drops the least of a few. Maps are walked from a random place, so that no
// sender can choose which.
func (t *table[V]) forget(part *tablePart[V], at int64) {
	var least addressKey
	var lowest V
	seen := 0
	for key, value := range part.rows {
		if seen == 0 || t.less(value, lowest, at) {
			least, lowest = key, value
		}
		if seen++; seen == evictSample {
			break
		}
	}
	delete(part.rows, least)
}
