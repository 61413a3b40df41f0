package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/semaphore"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// saveWithin bounds the write that follows a call. It does not end with the
// activity: what a call did must be written down.
const saveWithin = 5 * time.Second

const ambiguousSentence = "an earlier attempt broke off, and it is not known whether the destination has acted on it"

// DeliveryLedger is what Deliver reads and writes of the ledger. SaveDelivery
// never moves a delivered one back.
type DeliveryLedger interface {
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	// ListDeliveries returns those to one destination, the latest last.
	ListDeliveries(ctx context.Context, emailID int64, destination string) ([]ledger.Delivery, error)
	SaveDelivery(ctx context.Context, d ledger.Delivery) error
}

// Sender makes one attempt and returns the HTTP status of the answer, 0 where there
// was none. body is called at most once, and then only right before the call is
// made. Every failure is a fault; an error of body comes back as it is.
type Sender interface {
	Send(ctx context.Context, e contract.Email, d ledger.Delivery, body func(context.Context) ([]byte, error)) (int, error)
	// HonoursKey reports whether a repeat with the same key has no second effect.
	HonoursKey(destination string) bool
	// Serves reports whether mail of the tenant may be sent to the destination. Send
	// refuses other mail.
	Serves(destination, tenant string) bool
}

// DeliverDeps is what Deliver needs; all of it is required but Now.
type DeliverDeps struct {
	Ledger   DeliveryLedger
	Messages MessageReader
	Links    Linker
	Sender   Sender
	Gate     Gate
	Rests    Rests
	Now      func() time.Time // nil: time.Now
}

// Deliver is the step that sends an email, once for each destination.
type Deliver struct {
	deps   DeliverDeps
	memory *semaphore.Weighted // of large requests
}

// NewDeliver checks that nothing is missing.
func NewDeliver(deps DeliverDeps) (*Deliver, error) {
	if deps.Ledger == nil || deps.Messages == nil || deps.Links == nil || deps.Sender == nil ||
		deps.Gate == nil || deps.Rests == nil {
		return nil, errors.New("deliver: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Deliver{deps: deps, memory: semaphore.NewWeighted(requestBudget)}, nil
}

// Deliver makes one attempt at one delivery. It is idempotent on Email, Destination
// and Replay: a delivery that is done is not sent again, and every attempt has
// the same key. A replay sends again what has changed since it was delivered, under
// the key of the first delivery, and skips the rest; see NewEffect.
//
// Nothing is sent that was not inspected as it is now, or while a finding of the email
// is open in the ledger, whatever the workflow believes: that is not_released.
//
// Where the destination does not honour the key, the ledger says attempting
// before the call. An attempt whose end is unknown, found by a repeat or seen
// here, is ambiguous_effect and stays so until a person asks for another attempt.
//
// As a local activity it is a fast attempt: it answers NotFast, without a call, where
// the destination may keep the workflow task for long.
func (s *Deliver) Deliver(ctx context.Context, in contract.DeliverInput) (out contract.DeliverResult, err error) {
	defer translateError(ctx, in.Email, &err)
	defer startHeartbeat(ctx, in.Email.Size)()

	if isFast(ctx) && !s.deps.Gate.Quick(in.Destination) {
		return out, errNotFast
	}

	reads, cancel := boundReads(ctx)
	defer cancel()
	all, err := s.deps.Ledger.ListDeliveries(reads, in.Email.ID, in.Destination)
	if err != nil {
		return out, fmt.Errorf("read deliveries: %w", err)
	}

	d, found := pickDelivery(all, in)
	if found && d.State.Over() {
		return contract.DeliverResult{Status: d.LastStatus, Attempts: d.Attempts, Skipped: d.State == ledger.Skipped}, nil
	}
	if found {
		if err := s.checkCall(reads, &d, in.Again); err != nil {
			return out, err
		}
		if err := s.checkRest(in, &d); err != nil {
			return out, err
		}
	}

	if in.Replay != 0 && !in.NewEffect {
		skipped, err := s.skipRepeat(reads, in, &d, all)
		if err != nil || skipped {
			return contract.DeliverResult{Attempts: d.Attempts, Skipped: skipped}, err
		}
	}

	d.Probe = in.Again || in.Now
	status, called, sendErr := s.call(ctx, in, &d)
	if err := s.saveOutcome(ctx, in.Email, &d, status, called, sendErr); err != nil {
		return out, err
	}
	return contract.DeliverResult{Status: status, Attempts: d.Attempts}, nil
}

// checkCall returns the fault of a delivery that came to an end which a repeat does not
// change. A delivery found attempting is ambiguous even when a person asked for another
// attempt: that was asked before this attempt began.
func (s *Deliver) checkCall(ctx context.Context, d *ledger.Delivery, again bool) error {
	switch {
	case d.State == ledger.Rejected && !again:
		return fault.New(fault.DownstreamRejected, d.LastError)
	case d.State == ledger.Attempting && !s.deps.Sender.HonoursKey(d.Destination):
		d.State, d.LastError, d.NextAttemptAt = ledger.Ambiguous, ambiguousSentence, time.Time{}
		if err := s.deps.Ledger.SaveDelivery(ctx, *d); err != nil {
			return fmt.Errorf("save ambiguous delivery: %w", err)
		}
		return fault.New(fault.AmbiguousEffect, ambiguousSentence)
	case d.State == ledger.Ambiguous && !again:
		return fault.New(fault.AmbiguousEffect, d.LastError)
	}
	return nil
}

// call makes the attempt. called reports whether the destination may have seen it; d
// counts it then. A workflow that asks for an end before the call is made gets it; the
// call itself is not cut short.
func (s *Deliver) call(ctx context.Context, in contract.DeliverInput, d *ledger.Delivery) (status int, called bool, err error) {
	var began time.Time
	done, free := func() {}, func() {}
	defer func() { done(); free() }()

	asked := ctx
	ctx, end := uncut(ctx)
	defer end()
	status, err = s.deps.Sender.Send(ctx, in.Email, *d, func(ctx context.Context) ([]byte, error) {
		reads, cancel := boundReads(ctx)
		defer cancel()
		body, sum, release, err := s.body(reads, in, d.IdempotencyKey)
		if err != nil {
			return nil, err
		}
		free = release

		leave, err := reservePlace(ctx, s.deps.Gate, in.Destination)
		if err != nil {
			return nil, err
		}
		done = leave

		if askedToStop(asked) {
			return nil, fmt.Errorf("before the call: %w", asked.Err())
		}

		attempt := *d
		attempt.Attempts++
		attempt.ContentSHA256 = sum
		if !s.deps.Sender.HonoursKey(in.Destination) {
			attempt.State, attempt.NextAttemptAt = ledger.Attempting, time.Time{}
			if err := s.deps.Ledger.SaveDelivery(ctx, attempt); err != nil {
				return nil, fmt.Errorf("save attempt: %w", err)
			}
		}
		*d, called, began = attempt, true, s.deps.Now()
		return body, nil
	})

	if called {
		d.Call = &ledger.Call{At: began, Took: s.deps.Now().Sub(began), Status: status}
		if f := fault.From(err); f != nil {
			d.Call.Code = cmp.Or(string(f.Cause), string(f.Code))
		}
	}
	return status, called, err
}

// body makes the request out of what the ledger and the object store hold, with
// the email's edits laid over it, and returns it with the hash of its content. An email
// that must not leave is not_released. release returns the request's memory to the budget.
func (s *Deliver) body(ctx context.Context, in contract.DeliverInput, key string) (body, sum []byte, release func(), err error) {
	manifest, err := s.deps.Ledger.Manifest(ctx, in.Email.ID)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read manifest: %w", err)
	}
	if err := checkReleased(in, manifest); err != nil {
		return nil, nil, nil, err
	}

	message, err := s.deps.Messages.Message(ctx, manifest)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read message: %w", err)
	}
	if manifest.Overlay != nil {
		m, text := edit.Manifest(*manifest, *manifest.Overlay), edit.Message(*message, *manifest.Overlay)
		manifest, message = &m, &text
	}

	if release, err = s.reserve(requestCost(manifest, message)); err != nil {
		return nil, nil, nil, err
	}
	if body, sum, err = requestBody(ctx, in, key, manifest, message, s.deps.Links, s.deps.Now()); err != nil {
		release()
		return nil, nil, nil, err
	}
	return body, sum, release, nil
}

// saveOutcome saves how an attempt ended and returns its error, with the wait that the
// ledger shows. A call that was not made changes only the time of the next attempt.
func (s *Deliver) saveOutcome(ctx context.Context, e contract.Email, d *ledger.Delivery, status int, called bool, sendErr error) error {
	sendErr = delayed(ctx, sendErr)
	f, next := fault.From(sendErr), s.deps.Now().Add(delayOf(sendErr))

	if !called {
		if !withheld(f) {
			return fmt.Errorf("send to %s: %w", d.Destination, sendErr)
		}
		d.State, d.NextAttemptAt = ledger.Retrying, next
		if d.LastError == "" || d.Attempts == 0 { // else it tells how the last call ended
			d.LastError = f.Public
		}
	} else {
		s.fillOutcome(d, status, f, next)
		logAttempt(ctx, e, d, f)
	}

	d.Paused = f != nil && (f.Code == fault.DestinationPaused || f.Code == fault.DownstreamGone)
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
	defer cancel()
	saveErr := s.deps.Ledger.SaveDelivery(save, *d)
	switch {
	case sendErr != nil: // the failure of the call is the one that counts
		if saveErr == nil { // the ledger knows how long the delivery rests
			sendErr = s.shortenWait(d, sendErr)
		}
		return fmt.Errorf("send to %s: %w", d.Destination, errors.Join(sendErr, saveErr))
	case saveErr != nil:
		return fmt.Errorf("save delivery: %w", saveErr)
	}
	return nil
}

// fillOutcome fills d with how a call ended; next is when the next attempt comes, if any.
func (s *Deliver) fillOutcome(d *ledger.Delivery, status int, f *fault.Error, next time.Time) {
	d.LastStatus, d.LastError, d.NextAttemptAt = status, "", time.Time{}
	if f == nil {
		d.State, d.DeliveredAt = ledger.Delivered, s.deps.Now()
		return
	}

	d.LastError = f.Public
	switch {
	case f.Code == fault.AmbiguousEffect:
		d.State = ledger.Ambiguous
	case !f.Temporary:
		d.State = ledger.Rejected
	default:
		d.State, d.NextAttemptAt = ledger.Retrying, next
	}
}

// withheld reports whether f keeps calls from being made for a while.
func withheld(f *fault.Error) bool {
	return f != nil && (f.Code == fault.BreakerOpen || f.Code == fault.Overloaded || f.Code == fault.DownstreamGone ||
		f.Code == fault.DestinationPaused)
}

// logAttempt writes the one line of an attempt.
func logAttempt(ctx context.Context, e contract.Email, d *ledger.Delivery, f *fault.Error) {
	if !activity.IsActivity(ctx) {
		return
	}
	result, cause := "delivered", ""
	if f != nil {
		result = string(f.Code)
		cause = string(f.Cause)
	}
	activity.GetLogger(ctx).Info("delivery.attempted",
		"event_id", e.EventID, "correlation_id", e.CorrelationID, "tenant", e.Tenant, "source", e.Source,
		"destination", d.Destination, "result", result, "cause", cause, "status", d.LastStatus, "attempts", d.Attempts)
}
