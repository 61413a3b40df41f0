package ledger

import "time"

// Control is what people last told the workers about a destination, and the stop
// that the destination itself has asked for.
type Control struct {
	Destination string    `json:"-"`
	Paused      bool      `json:"-"`
	Actor       string    `json:"by"`
	Note        string    `json:"note"`
	At          time.Time `json:"at"` // zero where no person ever said anything
	// GoneUntil is set while nothing is sent because the destination answered 410. A
	// resume after that answer ends it.
	GoneUntil time.Time `json:"-"`
	// RecoveredAt is when the destination last took mail although it was stopped or had
	// asked to be left alone. AskedUntil is until when it asked for that at AskedAt.
	RecoveredAt time.Time `json:"-"`
	AskedAt     time.Time `json:"-"`
	AskedUntil  time.Time `json:"-"`
}

// LongestStop is for how long at most nothing is sent to a destination after an answer 410.
const LongestStop = time.Hour

// The states of a breaker, from good to bad.
const (
	BreakerClosed   = "closed"
	BreakerHalfOpen = "half_open"
	BreakerOpen     = "open"
)

// DestinationStatus is what one worker knows of a destination.
type DestinationStatus struct {
	Destination string `json:"-"`
	Worker      string `json:"worker"`
	Breaker     string `json:"breaker"`
	InFlight    int    `json:"in_flight"`
	// ProbeAt is when an open breaker lets the next call pass; nil if it is not open.
	ProbeAt *time.Time `json:"probe_at"`
	// GoneUntil is set while this worker sends nothing because the destination
	// answered 410.
	GoneUntil     *time.Time `json:"gone_until"`
	LastSuccessAt *time.Time `json:"last_success_at"`
	LastFailureAt *time.Time `json:"last_failure_at"`
	LastFailure   string     `json:"last_failure"` // a fault's public sentence
	UpdatedAt     time.Time  `json:"updated_at"`
	// Fresh is false for a worker that has not written for a while: what it knew
	// of the breaker holds no longer.
	Fresh bool `json:"-"`
}

// Backlog counts the emails whose delivery to a destination is not done: those
// that wait for it, and those that are held over it.
type Backlog struct {
	Retrying int64 `json:"retrying"`
	Held     int64 `json:"held"`
	// Oldest is when the first of them was received.
	Oldest *time.Time `json:"oldest_received_at"`
	// NextAttemptAt is when the first of those that wait is due; nil if none has a time.
	NextAttemptAt *time.Time `json:"next_attempt_at"`
}
