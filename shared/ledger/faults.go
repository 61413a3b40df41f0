package ledger

import (
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// The faults of the stores, with what callers and operators read of them.

// NoSuchEmail is about an email that the ledger does not know, or not in the tenants
// of the caller. err may be nil.
func NoSuchEmail(err error) error { return fault.Wrap(fault.NotFound, "no email with this id", err) }

// NoSuchReplay is about a batch that does not exist.
func NoSuchReplay() error { return fault.New(fault.NotFound, "there is no such replay") }

// NoSuchEdit is about an edit that does not exist or belongs to another email.
func NoSuchEdit() error { return fault.New(fault.NotFound, "no such edit of this email") }

// NoSuchToken is about a token that does not exist.
func NoSuchToken() error { return fault.New(fault.NotFound, "there is no token of this name") }

// NoSuchSession is about a session that does not exist.
func NoSuchSession() error { return fault.New(fault.NotFound, "no such session") }

// NoSuchLogin is about a login that does not exist.
func NoSuchLogin() error { return fault.New(fault.NotFound, "no such login") }

// TokenNameTaken refuses a name that a token has or had.
func TokenNameTaken() error {
	return fault.New(fault.RequestInvalid, "there is or was a token of this name")
}

// CursorInvalid refuses a cursor that no list returned.
func CursorInvalid() error {
	return fault.New(fault.RequestInvalid, "cursor: not one that a list returned")
}

// BodyLost is about a body that is neither in the inbox nor in the object store.
func BodyLost(emailID int64) error {
	return fault.Newf(fault.ContentLost, "email %d has no body in the inbox or the object store", emailID)
}

// ObjectsBeingRemoved is temporary: the caller stores the objects of the email again.
func ObjectsBeingRemoved() error {
	return fault.New(fault.StorageUnavailable, "an object of this email is being removed for another email; it will be stored again")
}

// NotStored is about a manifest that no store step has saved.
func NotStored() error { return fault.New(fault.Internal, "the email has not been stored yet") }

// DatabaseUnavailable is temporary.
func DatabaseUnavailable(err error) error {
	return fault.Wrap(fault.StorageUnavailable, "the database does not answer; it will be tried again", err)
}

// EventContended is temporary: rows of one event id came and went while one was inserted.
func EventContended() error {
	return fault.New(fault.StorageUnavailable, "an event id is contended; it will be tried again")
}

// DeliveredMeanwhile is temporary: the next look finds the delivery done.
func DeliveredMeanwhile() error {
	return fault.New(fault.Overloaded, "another attempt has delivered it meanwhile").After(time.Second)
}

// NoSuchIntent refuses an intent that does not exist, or not for this email.
func NoSuchIntent() error {
	return fault.New(fault.DecisionRefused, "no such decision about this email was written down")
}

// IntentExpired refuses an intent that was not carried out for so long.
func IntentExpired(age time.Duration) error {
	return fault.Newf(fault.DecisionRefused, "the decision was made over %s ago and not carried out: decide again", age)
}

// NotWaiting refuses a decision about an email that is not held.
func NotWaiting() error {
	return fault.New(fault.DecisionRefused, "this email does not wait for a decision any more")
}

// NeverStarted refuses an action on an email whose workflow could not be started.
func NeverStarted(action contract.Action) error {
	return fault.New(fault.DecisionRefused,
		"the workflow of this email was never started: there is nothing to "+string(action)+" yet; retry or discard it")
}

// ReplayEnded refuses to control a batch that has ended.
func ReplayEnded(state contract.ReplayState) error {
	return fault.New(fault.DecisionRefused, "this replay has ended: it is "+string(state))
}

// RecoveryRunning refuses a second batch for one cause.
func RecoveryRunning() error {
	return fault.New(fault.DecisionRefused, "a replay for this cause is already running")
}

// Fenced is permanent for the worker that gets it: another one works on the batch.
func Fenced() error {
	return fault.New(fault.Overloaded, "another worker has taken this replay over").Permanent()
}

// NoAuditEntry is about an email without any entry in the audit chain.
func NoAuditEntry() error { return fault.New(fault.Internal, "the chain has no entry of the email") }

// ChainTooLong refuses an export that would hold more than so many links.
func ChainTooLong(links int64) error {
	return fault.Newf(fault.RequestInvalid, "more than %d entries lie between the first about this email and the end of the chain", links)
}
