// Package fault is the one error type of Mailroom: a code for machines, a
// sentence for people, the cause for logs.
//
// Invariants: Public never holds mail content, an address, a secret or a claimed
// id; an error that is no fault counts as internal and temporary, because mail
// must not be lost to an unclassified error.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Code names what went wrong. It is part of the API: codes are added, never renamed.
type Code string

// Requests that the ingress refuses. A resend of the same bytes cannot help.
const (
	SignatureMissing   Code = "signature_missing"
	SignatureInvalid   Code = "signature_invalid"
	TimestampMissing   Code = "timestamp_missing"
	TimestampInvalid   Code = "timestamp_invalid"
	TimestampStale     Code = "timestamp_stale"
	BodyTooLarge       Code = "body_too_large"
	BodyIncomplete     Code = "body_incomplete"
	ContentTypeInvalid Code = "content_type_invalid"
	EncodingRefused    Code = "content_encoding_refused"
	MethodNotAllowed   Code = "method_not_allowed"
	NotFound           Code = "not_found"
	JSONMalformed      Code = "json_malformed"
	EventIDMissing     Code = "event_id_missing"
	EventIDInvalid     Code = "event_id_invalid"
	FieldInvalid       Code = "field_invalid"
	FieldUnknown       Code = "field_unknown"
	CredentialsMissing Code = "credentials_missing"
	CredentialsInvalid Code = "credentials_invalid"
	AddressRefused     Code = "address_refused"
	SourceDisabled     Code = "source_disabled"
	TLSRequired        Code = "tls_required"
	Throttled          Code = "throttled"    // too many bad signatures from one address
	RateLimited        Code = "rate_limited" // more than the source may send
	InboxFull          Code = "inbox_full"   // deeper or older than the configuration lets it become
)

// Answers of the operator API.
const (
	Unauthorized    Code = "unauthorized"
	Forbidden       Code = "forbidden"
	RequestInvalid  Code = "request_invalid"
	DecisionRefused Code = "decision_refused"
	QueryTimeout    Code = "query_timeout" // an operator's query took the database too long
)

// What the steps of an email meet. The first group passes with time.
const (
	Overloaded            Code = "overloaded"
	StorageUnavailable    Code = "storage_unavailable"
	TemporalUnavailable   Code = "temporal_unavailable"
	ScannerUnavailable    Code = "scanner_unavailable"
	DownstreamUnavailable Code = "downstream_unavailable"
	BreakerOpen           Code = "breaker_open"
	DestinationPaused     Code = "destination_paused" // by a person
	Internal              Code = "internal"

	DownstreamRejected Code = "downstream_rejected"
	DownstreamGone     Code = "downstream_gone"
	AmbiguousEffect    Code = "ambiguous_effect"
	ContentLost        Code = "content_lost"
	NotReleased        Code = "not_released" // the ledger says that the email must not leave yet
	ConfigInvalid      Code = "config_invalid"
)

// Codes lists every code once, so that the tables which translate codes can be
// checked for gaps.
var Codes = []Code{
	SignatureMissing, SignatureInvalid, TimestampMissing, TimestampInvalid, TimestampStale,
	BodyTooLarge, BodyIncomplete, ContentTypeInvalid, EncodingRefused, MethodNotAllowed, NotFound,
	JSONMalformed, EventIDMissing, EventIDInvalid, FieldInvalid, FieldUnknown,
	CredentialsMissing, CredentialsInvalid, AddressRefused, SourceDisabled, TLSRequired, Throttled, RateLimited, InboxFull,
	Unauthorized, Forbidden, RequestInvalid, DecisionRefused, QueryTimeout,
	Overloaded, StorageUnavailable, TemporalUnavailable, ScannerUnavailable, DownstreamUnavailable,
	BreakerOpen, DestinationPaused, Internal, DownstreamRejected, DownstreamGone, AmbiguousEffect, ContentLost, NotReleased,
	ConfigInvalid,
}

// temporary are the codes that time may cure.
var temporary = map[Code]bool{
	Overloaded: true, StorageUnavailable: true, TemporalUnavailable: true, ScannerUnavailable: true,
	DownstreamUnavailable: true, BreakerOpen: true, DestinationPaused: true, Internal: true, DownstreamGone: true,
	Throttled: true, RateLimited: true, InboxFull: true, QueryTimeout: true,
}

// Error is a classified failure. Public is the only text that a caller outside
// may see; Err is for logs.
type Error struct {
	Code      Code
	Public    string
	Temporary bool
	// Cause says more than Code where a call to a destination brought no answer.
	Cause Cause
	// RetryAfter is how long to wait before another attempt makes sense; zero means
	// that the caller's own schedule holds.
	RetryAfter time.Duration
	Err        error
}

// New makes a fault of code with a sentence for people. Whether it is temporary
// follows from the code.
func New(code Code, public string) *Error {
	return &Error{Code: code, Public: public, Temporary: temporary[code]}
}

// Newf is New with a format.
func Newf(code Code, format string, args ...any) *Error {
	return New(code, fmt.Sprintf(format, args...))
}

// Wrap returns a fault of code around a cause. A nil cause makes a fault without one.
func Wrap(code Code, public string, err error) *Error {
	f := New(code, public)
	f.Err = err
	return f
}

// After returns f with the wait before the next try set.
func (e *Error) After(d time.Duration) *Error {
	e.RetryAfter = d
	return e
}

// Because returns e with its cause set.
func (e *Error) Because(c Cause) *Error {
	e.Cause = c
	return e
}

// Permanent returns f marked as not curable by time.
func (e *Error) Permanent() *Error {
	e.Temporary = false
	return e
}

// Error returns code, sentence and cause; it is for logs.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Code) + ": " + e.Public
	}
	return string(e.Code) + ": " + e.Public + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// From finds the fault in err's chain. An error without one is internal and
// temporary, with a sentence that discloses nothing. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return Wrap(Internal, "something went wrong inside Mailroom; it will be tried again", err)
}

// Is reports whether err contains a fault of code.
func Is(err error, code Code) bool {
	var f *Error
	return errors.As(err, &f) && f.Code == code
}
