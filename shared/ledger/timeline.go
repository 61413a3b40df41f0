package ledger

import "time"

// TimelineKind says what an entry of a timeline is about.
type TimelineKind string

// The kinds, in the order in which they come when they come at the same time.
const (
	TimeReceived  TimelineKind = "received"
	TimeVerified  TimelineKind = "verified"
	TimeStored    TimelineKind = "stored"
	TimeInspected TimelineKind = "inspected"
	TimeRouted    TimelineKind = "routed"
	TimeAttempt   TimelineKind = "attempt"
	TimeDelivery  TimelineKind = "leg" // the end of a delivery, good or bad
	TimeWaiting   TimelineKind = "waiting"
	TimeHeld      TimelineKind = "held"
	TimeReminder  TimelineKind = "reminder"
	TimeEdit      TimelineKind = "edit"
	TimeDecision  TimelineKind = "decision"
	TimeReplay    TimelineKind = "replay"
	TimeSignal    TimelineKind = "signal" // one that the workflow does not know
	TimeClosed    TimelineKind = "closed"
)

// TimelineKinds lists every kind once, in their order.
var TimelineKinds = []TimelineKind{
	TimeReceived, TimeVerified, TimeStored, TimeInspected, TimeRouted, TimeAttempt, TimeDelivery, TimeWaiting, TimeHeld,
	TimeReminder, TimeEdit, TimeDecision, TimeReplay, TimeSignal, TimeClosed,
}

// TimelineEntry is one thing that happened to an email. Title is a few words,
// Detail a sentence or a list, empty where there is no more to say; a person's note
// is a Detail, mail content is not. Actor and Via are set for what a person did,
// Destination for what concerns one delivery alone.
type TimelineEntry struct {
	At          time.Time    `json:"at"`
	Kind        TimelineKind `json:"kind"`
	Title       string       `json:"title"`
	Detail      string       `json:"detail,omitempty"`
	Actor       string       `json:"actor,omitempty"`
	Via         string       `json:"via,omitempty"`
	Destination string       `json:"destination,omitempty"`
	// Code is why an attempt failed: a fault.Cause, else a fault.Code; empty for a success.
	Code string `json:"code,omitempty"`
}
