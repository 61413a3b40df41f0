package guard

import "time"

// goodFor is how long an address counts as known after an authentic request.
const goodFor = 24 * time.Hour

// Known remembers from which addresses authentic requests came within a day. It
// holds 65,536 addresses and forgets the oldest of a sample. Only authentic requests
// add to it, so that no stranger can make it forget. It is safe for many requests at
// once; it starts empty with each process.
type Known struct {
	last *table[int64] // the last authentic request, Unix nanoseconds
}

// NewKnown returns a table without addresses.
func NewKnown() *Known {
	return &Known{last: newTable(func(a, b, _ int64) bool { return a < b })}
}

// note records an authentic request from the address of key.
func (k *Known) note(key addressKey, now time.Time) {
	at := now.UnixNano()
	k.last.update(key, at, func(int64) int64 { return at })
}

// has reports whether an authentic request came from the address of key within a day
// before at, in Unix nanoseconds.
func (k *Known) has(key addressKey, at int64) bool {
	last, known := k.last.get(key)
	return known && at-last < int64(goodFor)
}
