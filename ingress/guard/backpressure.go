package guard

import (
	"sync/atomic"
	"time"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

// What a sender waits while the inbox is full, and how old a measurement may be
// for anything to be refused on its word.
const (
	inboxRetry = 30 * time.Second
	measureFor = time.Minute
)

// Backpressure refuses events while more mail waits, or mail has waited longer,
// than the configuration lets it. Between two measurements the inbox may become
// deeper than the bound by what is accepted meanwhile. It is safe for many
// requests at once.
type Backpressure struct {
	depth int64
	age   time.Duration
	full  atomic.Int64 // when the inbox was last measured to be full, Unix nanoseconds; 0: it is not
}

// NewBackpressure makes one that has measured nothing and lets everything in.
func NewBackpressure(c config.Backpressure) *Backpressure {
	return &Backpressure{depth: c.Depth, age: c.Age}
}

// Measured takes over what a look at the inbox has found. Without looks, as while
// the database is away, the last one counts for a minute.
func (b *Backpressure) Measured(waiting int64, oldest time.Duration, now time.Time) {
	if (b.depth > 0 && waiting > b.depth) || (b.age > 0 && waiting > 0 && oldest > b.age) {
		b.full.Store(max(now.UnixNano(), 1))
		return
	}
	b.full.Store(0)
}

// Full reports whether events are refused now.
func (b *Backpressure) Full(now time.Time) bool {
	full := b.full.Load()
	return full != 0 && now.UnixNano()-full < int64(measureFor)
}

// Check gives the fault of a full inbox, nil where there is room.
func (b *Backpressure) Check(now time.Time) error {
	if !b.Full(now) {
		return nil
	}
	return fault.New(fault.InboxFull, "too much mail waits to be worked on").After(inboxRetry)
}
