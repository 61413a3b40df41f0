package contract

import "strings"

// State is where an email is. Delivered, Discarded and Duplicate are terminal.
type State string

// The states.
const (
	Processing  State = "processing"
	Retrying    State = "retrying"    // waiting for an unavailable dependency
	Quarantined State = "quarantined" // waiting for a person
	Delivered   State = "delivered"
	Discarded   State = "discarded"
	Duplicate   State = "duplicate"
)

// States lists every state once.
var States = []State{Processing, Retrying, Quarantined, Delivered, Discarded, Duplicate}

// Terminal reports whether an email in this state is finished.
func (s State) Terminal() bool { return s == Delivered || s == Discarded || s == Duplicate }

// Word returns the state as people read it: held for Quarantined. Search attributes,
// metrics and JSON have the state itself.
func (s State) Word() string {
	if s == Quarantined {
		return "held"
	}
	return string(s)
}

// StateOf returns the state that a word or a name of a state means, in any case.
func StateOf(text string) (State, bool) {
	for _, s := range States {
		if strings.EqualFold(text, string(s)) || strings.EqualFold(text, s.Word()) {
			return s, true
		}
	}
	return "", false
}

// StateWords lists the words of all states for a sentence.
func StateWords() string {
	words := make([]string, len(States))
	for i, s := range States {
		words[i] = s.Word()
	}
	return strings.Join(words, ", ")
}

// Reason says why an email is held or waits.
type Reason string

// The reasons. The last two are for waiting alone: an email that waits longer
// than its budget is held under another one.
const (
	IDConflict            Reason = "id_conflict"
	SchemaInvalid         Reason = "schema_invalid"
	MIMEMalformed         Reason = "mime_malformed"
	TooLarge              Reason = "too_large"
	TypeDenied            Reason = "attachment_type_denied"
	AttachmentMismatch    Reason = "attachment_mismatch"
	AttachmentUnfetchable Reason = "attachment_unfetchable"
	Infected              Reason = "infected"
	Unscannable           Reason = "unscannable"
	ScannerUnavailable    Reason = "scanner_unavailable"
	Unroutable            Reason = "unroutable"
	RecipientForeign      Reason = "recipient_foreign"
	RecipientUnmatched    Reason = "recipient_unmatched"
	DownstreamRejected    Reason = "downstream_rejected"
	DownstreamExhausted   Reason = "downstream_exhausted"
	AmbiguousEffect       Reason = "ambiguous_effect"
	LoopDetected          Reason = "loop_detected"
	Internal              Reason = "internal"
	ManualHold            Reason = "manual_hold"

	DownstreamUnavailable Reason = "downstream_unavailable"
	StorageUnavailable    Reason = "storage_unavailable"
)

// Reasons lists every reason once.
var Reasons = []Reason{
	IDConflict, SchemaInvalid, MIMEMalformed, TooLarge, TypeDenied, AttachmentMismatch, AttachmentUnfetchable,
	Infected, Unscannable, ScannerUnavailable, Unroutable, RecipientForeign, RecipientUnmatched,
	DownstreamRejected, DownstreamExhausted, AmbiguousEffect, LoopDetected, Internal, ManualHold,
	DownstreamUnavailable, StorageUnavailable,
}
