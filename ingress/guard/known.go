package guard

import "time"

// goodFor is how long an address counts as known after an authentic request.
const goodFor = 24 * time.Hour

// Known is the set of addresses from which an authentic request came within a day. It
// holds 65,536 addresses and then forgets the oldest of a sample. Only authentic
// requests add to it, so no stranger can displace an entry. It is safe for concurrent
// use, and empty at the start of each process.
type Known struct {
	last *table[int64] // the last authentic request, Unix nanoseconds
}

// NewKnown returns an empty set.
func NewKnown() *Known {
	return &Known{last: newTable(func(a, b, _ int64) bool { return a < b })}
}

// recordAuthentic records an authentic request from the address of key at now.
func (k *Known) recordAuthentic(key addressKey, now time.Time) {
	at := now.UnixNano()
	k.last.update(key, at, func(int64) int64 { return at })
}

// has reports whether an authentic request came from the address of key within a day
// before at, in Unix nanoseconds.
func (k *Known) has(key addressKey, at int64) bool {
	last, known := k.last.get(key)
	return known && at-last < int64(goodFor)
}
