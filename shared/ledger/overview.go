package ledger

import (
	"time"

	"mailroom/shared/contract"
)

// Overview is how things are, in numbers. Where it is for some tenants it counts
// nothing of the others.
type Overview struct {
	Now time.Time `json:"now"`
	// Alerts are what needs attention now, dependencies before destinations.
	Alerts []Alert `json:"alerts"`
	// Rate has the 60 minutes up to now, oldest first, none left out.
	Rate    []Minute      `json:"rate"`
	Latency Latency       `json:"latency"`
	Inbox   Inbox         `json:"inbox"`
	States  []StateCount  `json:"states"`
	Held    []ReasonCount `json:"held"` // most first
	// Retrying counts the emails that wait for an unavailable dependency; most first.
	Retrying []ReasonCount `json:"retrying"`
	// Attention counts the emails that were held for so long that operators were told.
	Attention Attention `json:"attention"`
	// Ack is about every tenant; it is nil for operators of some tenants alone.
	Ack *Ack `json:"ack"`
}

// Attention counts the held emails that operators were reminded of, and those that
// were escalated, which are not among the former.
type Attention struct {
	Reminded  int64 `json:"reminded"`
	Escalated int64 `json:"escalated"`
	// Oldest is when the first of them was received; nil where there is none.
	Oldest *time.Time `json:"oldest_received_at"`
}

// Ack is how fast one ingress answered what it accepted since it started: Within
// counts the answers that took no longer than ObjectiveSeconds.
type Ack struct {
	Count            int64   `json:"count"`
	Within           int64   `json:"within"`
	ObjectiveSeconds float64 `json:"objective_seconds"`
	// The quantiles are estimates, as fine as the buckets of the histogram
	// mailroom_ack_seconds allow, in seconds; 0 where Count is.
	P50 float64 `json:"p50_seconds"`
	P95 float64 `json:"p95_seconds"`
	P99 float64 `json:"p99_seconds"`
}

// Minute counts what happened within one minute. Held counts what was received
// within it and is held now.
type Minute struct {
	At        time.Time `json:"at"`
	Accepted  int64     `json:"accepted"`
	Delivered int64     `json:"delivered"`
	Held      int64     `json:"held"`
}

// Latency is the time from receipt to the delivered end, of the emails that ended
// within the last hour, without the time in which they waited for people or for a paused
// destination. The quantiles are in seconds and 0 where Count is.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_seconds"`
	P95   float64 `json:"p95_seconds"`
	P99   float64 `json:"p99_seconds"`
	// Within counts those that took no longer than ObjectiveSeconds.
	Within           int64   `json:"within"`
	ObjectiveSeconds float64 `json:"objective_seconds"`
}

// Inbox is what is accepted and not started yet.
type Inbox struct {
	Waiting       int64   `json:"waiting"`
	OldestSeconds float64 `json:"oldest_seconds"`
}

// StateCount is how many emails are in a state.
type StateCount struct {
	State contract.State `json:"state"`
	Count int64          `json:"count"`
}

// ReasonCount is how many emails are held, or wait, for one reason.
type ReasonCount struct {
	Reason contract.Reason `json:"reason"`
	Count  int64           `json:"count"`
	// Oldest is when the first of them was received.
	Oldest time.Time `json:"oldest_received_at"`
}

// Objective is how long an email may take from its receipt to its delivery.
const Objective = time.Minute

// AckObjective is how long a sender may wait for its 2xx. It is a bound of a bucket
// of mailroom_ack_seconds.
const AckObjective = 500 * time.Millisecond
