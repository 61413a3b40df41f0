package guard

import (
	"sync/atomic"
	"time"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

const (
	inboxRetry = 30 * time.Second // Retry-After while the inbox is full
	measureFor = time.Minute      // how long a measurement counts
)

// Backpressure refuses events while the inbox is full: more emails wait, or the
// oldest has waited longer, than the configuration permits. Between two measurements
// the inbox can grow past the bound by the events accepted meanwhile. It is safe for
// concurrent use.
type Backpressure struct {
	depth int64
	age   time.Duration
	full  atomic.Int64 // when the inbox was last measured to be full, Unix nanoseconds; 0: it is not
}

// NewBackpressure returns a Backpressure that accepts every event until RecordInbox is
// called. A bound of zero is no bound.
func NewBackpressure(c config.Backpressure) *Backpressure {
	return &Backpressure{depth: c.Depth, age: c.Age}
}

// RecordInbox stores a measurement of the inbox: how many emails wait and for how long
// the oldest has. Without a newer one, as while the database is unavailable, a full
// inbox counts as full for a minute.
func (b *Backpressure) RecordInbox(waiting int64, oldest time.Duration, now time.Time) {
	if (b.depth > 0 && waiting > b.depth) || (b.age > 0 && waiting > 0 && oldest > b.age) {
		b.full.Store(max(now.UnixNano(), 1))
		return
	}
	b.full.Store(0)
}

// Full reports whether events are refused at now.
func (b *Backpressure) Full(now time.Time) bool {
	full := b.full.Load()
	return full != 0 && now.UnixNano()-full < int64(measureFor)
}

// Check returns nil while events are accepted, else a fault of code inbox_full with a
// retry delay of 30 s.
func (b *Backpressure) Check(now time.Time) error {
	if !b.Full(now) {
		return nil
	}
	return fault.New(fault.InboxFull, "nothing was accepted, because too much mail waits to be processed; send the event again later").After(inboxRetry)
}
