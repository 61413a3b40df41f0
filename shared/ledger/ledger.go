// Package ledger holds the rows that the steps of an email read and write, as
// types alone: the database adapter fills them, the activities use them, and
// neither needs the other.
package ledger

import (
	"fmt"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/mail"
)

// Body is where the raw body of an event is: in the inbox row, or in the object
// store under Key.
type Body struct {
	Inline []byte
	Key    string
	SHA256 [32]byte
	// ReceivedAt is when the ingress had read the whole body.
	ReceivedAt time.Time
	// Stored reports that the store step has run: the inbox row is gone, Key
	// names the raw body in the raw bucket, and the manifest can be read.
	Stored bool
	// Removals counts the objects that were removed from the object store until now.
	Removals int64
	// Overlay is the edits that were applied to the email, merged; nil: none.
	Overlay *contract.Edit
}

// Manifest is what the store step found in an email and where it put it.
type Manifest struct {
	EmailID int64
	// ReceivedAt is when the ingress had read the event; it is read, never written.
	ReceivedAt time.Time
	// Parser is what made the manifest; it is written, never read.
	Parser string
	// Removals is that of Body, read before the first object was written: an object
	// that was removed since may be gone. It is written, never read.
	Removals int64
	RawKey   string // the raw body in the raw bucket
	MIMEKey  string // the raw mail in the raw bucket; empty where none came
	// Message is the parsed mail (mail.Message) as JSON without attachments; a
	// large one lies in the raw bucket under MessageKey instead.
	Message     []byte
	MessageKey  string
	MessageID   string
	Subject     string
	Sender      string
	Recipients  []string
	Routes      []string
	Attachments []mail.Attachment
	// Reported is what the provider said beside the mail.
	Reported mail.Reported
	// PossibleDuplicateOf is the event id of another email of the tenant that had the
	// same Message-ID before; empty: none. It is read, and found out when the manifest
	// is saved.
	PossibleDuplicateOf string
	// Foreign are the recipients outside the tenant's domains as the last routing
	// found them, edits laid over; it is read, and written by SaveLeftOut alone, as is
	// Unmatched: the recipients that no rule took while one took another.
	Foreign, Unmatched []string
	// Overlay is the edits that were applied to the email, merged; nil: none.
	// Everything above is as it came: a step that uses it applies the overlay.
	// It is read, never written, and so is Edited.
	Overlay *contract.Edit
	Edited  Edited
	// Open are the findings that keep the email from leaving; nil: none. They are
	// read, never written.
	Open []contract.Finding
}

// DeliveryState is where one delivery is.
type DeliveryState string

// The states of a delivery. Attempting is written before the call to a
// destination that honours no idempotency key.
const (
	Attempting DeliveryState = "attempting"
	Retrying   DeliveryState = "retrying"
	Delivered  DeliveryState = "delivered"
	Rejected   DeliveryState = "rejected"
	Ambiguous  DeliveryState = "ambiguous"
	// Skipped is a delivery of a replay that had nothing new to send.
	Skipped DeliveryState = "skipped"
)

// Over reports whether nothing more is sent for a delivery in this state.
func (s DeliveryState) Over() bool { return s == Delivered || s == Skipped }

// Delivery is one email to one destination.
type Delivery struct {
	EmailID     int64
	Destination string
	// Effect tells the deliveries of replays from each other and from the first,
	// for which it is empty.
	Effect         string
	State          DeliveryState
	IdempotencyKey string
	Attempts       int
	LastStatus     int    // HTTP status of the last answer; 0 when there was none
	LastError      string // a fault's public sentence, never what the destination wrote
	NextAttemptAt  time.Time
	DeliveredAt    time.Time
	// ContentSHA256 is over what is sent, but for what differs on each attempt; nil
	// where it is not known.
	ContentSHA256 []byte
	// UpdatedAt is when it was last written, by the ledger's clock; it is read, never
	// written.
	UpdatedAt time.Time
	// Paused says that it waits until NextAttemptAt because the destination is paused or
	// has answered 410; it is written, never read.
	Paused bool
	// Call is the call that led here, where one was made; it is written, never read.
	Call *Call
	// Probe lets the attempt pass a stop after 410: a person asked for it. It is not stored.
	Probe bool
}

// Call is one call of a destination that was really made.
type Call struct {
	At     time.Time
	Took   time.Duration
	Status int    // HTTP status of the answer; 0 when there was none
	Code   string // the fault's cause, else its code; empty for a success
}

// Overruled says that the ledger keeps another change of an email's state, whose number
// is at least that of the change that was to be written.
type Overruled struct{ Sequence int64 }

func (o *Overruled) Error() string {
	return fmt.Sprintf("the ledger has a later change of state, number %d", o.Sequence)
}
