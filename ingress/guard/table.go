package guard

import (
	"hash/maphash"
	"net/netip"
	"sync"
)

const (
	tableParts  = 64   // parts of a table, each with a lock of its own
	partSize    = 1024 // addresses in one part
	evictSample = 8    // entries examined in the search for one to forget
)

// addressKey identifies an IPv4 address or an IPv6 /64, without pointers. A missing
// address has the zero key.
type addressKey [16]byte

// keyOf returns the key of addr: one subscriber has one IPv4 address or one IPv6 /64.
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

// table holds a value for each of at most 65,536 addresses. A full part forgets the
// least value of a sample. It is safe for concurrent use.
type table[V any] struct {
	less  func(a, b V, at int64) bool
	seed  maphash.Seed
	parts [tableParts]tablePart[V]
}

// tablePart holds the addresses whose hash selects it, so that most requests do not
// wait for the same lock.
type tablePart[V any] struct {
	mu   sync.Mutex
	rows map[addressKey]V
}

// newTable returns an empty table. less reports whether a is forgotten before b at the
// time at, in Unix nanoseconds.
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

// update replaces the value of key by change(value), where a missing value is the zero
// value. at, in Unix nanoseconds, is passed to less if an entry must be forgotten.
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

// part returns the part that holds key.
func (t *table[V]) part(key addressKey) *tablePart[V] {
	return &t.parts[maphash.Bytes(t.seed, key[:])%tableParts]
}

// forget removes the least of evictSample entries. Go walks a map from a random place,
// so no sender can choose which entries are compared.
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
