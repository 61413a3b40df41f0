package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// unknownFailure is what people read of a failure that says nothing to them.
const unknownFailure = "something went wrong inside Mailroom"

// stepError is the failure of a step: what an email waits or is held for.
type stepError struct {
	code     fault.Code
	sentence string // for people; the activities put nothing of the mail into it
	cause    error
}

func (e *stepError) Error() string {
	return fmt.Sprintf("%s: %s: %v", e.code, e.sentence, e.cause)
}

func (e *stepError) Unwrap() error { return e.cause }

// failed translates the failure of an activity. An attempt that did not end in time
// has the late code of its class of work, an unknown failure is internal. The sentence
// of an internal failure that time may cure is not for people.
func (a attempts) failed(err error) error {
	if err == nil {
		return nil
	}

	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		for _, c := range fault.Codes {
			if app.Type() == string(c) && (c != fault.Internal || app.NonRetryable()) {
				return &stepError{code: c, sentence: a.name + ": " + app.Message(), cause: err}
			}
		}
	}

	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		return &stepError{code: a.options.late, sentence: a.name + ": an attempt did not end in time", cause: err}
	}
	return &stepError{code: fault.Internal, sentence: a.name + ": " + unknownFailure, cause: err}
}

// waitReasons say why an email waits, by the code of the last failure.
var waitReasons = map[fault.Code]contract.Reason{
	fault.ScannerUnavailable:    contract.ScannerUnavailable,
	fault.StorageUnavailable:    contract.StorageUnavailable,
	fault.DownstreamUnavailable: contract.DownstreamUnavailable,
	fault.DownstreamGone:        contract.DownstreamUnavailable,
	fault.BreakerOpen:           contract.DownstreamUnavailable,
	fault.DestinationPaused:     contract.DownstreamUnavailable,
	fault.Overloaded:            contract.DownstreamUnavailable,
}

// holdReasons say why an email is held, by the code of the failure that ended a step.
// A code that time may cure ends a step only when its budget is spent.
var holdReasons = map[fault.Code]contract.Reason{
	fault.ScannerUnavailable:    contract.ScannerUnavailable,
	fault.StorageUnavailable:    contract.StorageUnavailable,
	fault.DownstreamRejected:    contract.DownstreamRejected,
	fault.AmbiguousEffect:       contract.AmbiguousEffect,
	fault.DownstreamUnavailable: contract.DownstreamExhausted,
	fault.DownstreamGone:        contract.DownstreamExhausted,
	fault.BreakerOpen:           contract.DownstreamExhausted,
	fault.DestinationPaused:     contract.DownstreamExhausted,
	fault.Overloaded:            contract.DownstreamExhausted,
}

// codeOf returns the code of the failure of a step.
func codeOf(err error) fault.Code {
	var failure *stepError
	if errors.As(err, &failure) {
		return failure.code
	}
	return fault.Internal
}

// reasonOf looks the code of a failure up; a code without a row is internal.
func reasonOf(err error, table map[fault.Code]contract.Reason) contract.Reason {
	if r, ok := table[codeOf(err)]; ok {
		return r
	}
	return contract.Internal
}

// sentenceOf returns what people read of a failure.
func sentenceOf(err error) string {
	var failure *stepError
	if errors.As(err, &failure) {
		return failure.sentence
	}
	return unknownFailure
}
