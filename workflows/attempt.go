package workflows

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// step runs one activity: first fast, inside the worker and with one attempt,
// which on the good path costs Temporal nothing but a marker; then, when that
// failed for a reason that time may cure, durably, visible in the Web UI with
// attempt count and last failure. Both are the same function, so it must be
// idempotent. A worker that must not make the first attempt fast says so, and then
// a regular activity makes it. While it waits the email is in the state retrying.
// An error is a *stepError.
func step[I, O any](ctx workflow.Context, e *inboundEmail, name string, o stepOptions,
	activity func(context.Context, I) (O, error), in I) (O, error) {
	return stepThen(ctx, e, name, o, activity, in, in)
}

// stepThen is step with another input from the second attempt on.
func stepThen[I, O any](ctx workflow.Context, e *inboundEmail, name string, o stepOptions,
	activity func(context.Context, I) (O, error), first, later I) (O, error) {
	var out O
	o.neverFast = o.neverFast || large(e.in.Email)
	err := e.tries(ctx, name, o, activity, first, later, &out)
	return out, err
}

// tries is both tries of a step, between which the email is in the state retrying.
// An error is a *stepError.
func (e *inboundEmail) tries(ctx workflow.Context, name string, o stepOptions, activity, first, later, out any) error {
	err := firstTry(ctx, name, o, activity, first, out)
	if err != nil && curable(err) {
		w := e.wait(ctx, failed(name, o, err))
		err = lastingTry(ctx, name, o, askedWait(ctx, err), activity, later, out)
		e.resume(ctx, w)
	}
	if err != nil {
		return failed(name, o, err)
	}
	return nil
}

// patientTries is tries without an end to their patience: the email is in the state
// retrying until an attempt succeeds or fails for good, or ctx ends. An error is the
// activity's own.
func (e *inboundEmail) patientTries(ctx workflow.Context, name string, o stepOptions, activity, in, out any) error {
	err := firstTry(ctx, name, o, activity, in, out)
	if err != nil && curable(err) && ctx.Err() == nil {
		w := e.wait(ctx, failed(name, o, err))
		for err != nil && curable(err) && ctx.Err() == nil {
			err = lastingTry(ctx, name, o, askedWait(ctx, err), activity, in, out)
		}
		e.resume(ctx, w)
	}
	return err
}

// quietTries is both tries of what leaves the state of the email as it is. An error
// is the activity's own.
func quietTries(ctx workflow.Context, name string, o stepOptions, activity, in, out any) error {
	err := firstTry(ctx, name, o, activity, in, out)
	if err != nil && curable(err) && ctx.Err() == nil {
		err = lastingTry(ctx, name, o, askedWait(ctx, err), activity, in, out)
	}
	return err
}

// firstTry is the one attempt that the state of the email does not show: fast, or by
// a regular activity where the options or the worker say so.
func firstTry(ctx workflow.Context, name string, o stepOptions, activity, in, out any) error {
	if !o.neverFast && !paceOf(ctx).regular {
		fast := o.fast
		fast.Summary = name
		err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, fast), activity, in).Get(ctx, out)
		if !notFast(ctx, err) {
			return err
		}
	}
	first := o.once()
	first.Summary = name
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, first), activity, in).Get(ctx, out)
}

// pace is whether the steps of a run may be fast at all.
type pace struct{ regular bool }

type paceKey struct{}

// withPace returns a context whose steps have one pace.
func withPace(ctx workflow.Context) workflow.Context {
	return workflow.WithValue(ctx, paceKey{}, &pace{})
}

func paceOf(ctx workflow.Context) *pace {
	if p, ok := ctx.Value(paceKey{}).(*pace); ok {
		return p
	}
	return &pace{}
}

// notFast reports whether the worker answered that a regular activity has to make
// the attempt, perhaps all attempts from now on. The fast one has done nothing then.
func notFast(ctx workflow.Context, err error) bool {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		return false
	}
	if app.Type() == contract.NeverFast {
		paceOf(ctx).regular = true
		return true
	}
	return app.Type() == contract.NotFast
}

// ask runs an activity that a decision waits for, within seconds: it is decided, or its
// sender tries again.
func ask(ctx workflow.Context, activity, in, out any) error {
	fast := intentOptions()
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, fast), activity, in).Get(ctx, out)
	if !notFast(ctx, err) {
		return err
	}
	regular := workflow.ActivityOptions{
		StartToCloseTimeout: fast.StartToCloseTimeout, ScheduleToCloseTimeout: fast.ScheduleToCloseTimeout, RetryPolicy: fast.RetryPolicy,
	}
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, regular), activity, in).Get(ctx, out)
}

// lastingTry is the activity with the whole budget, after the wait that the
// failed attempt asked for.
func lastingTry(ctx workflow.Context, name string, o stepOptions, wait time.Duration, activity, in, out any) error {
	summary := workflow.TimerOptions{Summary: "before the next attempt: " + name}
	if err := workflow.NewTimerWithOptions(ctx, wait, summary).Get(ctx, nil); err != nil {
		return err
	}
	durable := o.durable
	durable.Summary = name
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, durable), activity, in).Get(ctx, out)
}

// curable reports whether another try may end better. What is not known to be
// final is: mail must not be lost to an unclassified error.
func curable(err error) bool {
	var canceled *temporal.CanceledError
	if errors.As(err, &canceled) {
		return false
	}
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return !app.NonRetryable()
	}
	return true
}

// askedWait is how long the failed attempt asked to wait, at least firstWait and
// at most longestAsk. One that asks for nothing has not ended by itself: it timed
// out, perhaps with all that its worker had under way. Those come again spread over
// a second, by their IDs.
func askedWait(ctx workflow.Context, err error) time.Duration {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NextRetryDelay() > 0 {
		return min(max(app.NextRetryDelay(), firstWait), longestAsk)
	}
	id := fnv.New32a()
	_, _ = id.Write([]byte(workflow.GetInfo(ctx).WorkflowExecution.ID)) // never fails
	return firstWait + time.Duration(id.Sum32()%1000)*time.Millisecond
}

// stepError is the failure of a step in our own words.
type stepError struct {
	code     fault.Code
	sentence string // for people; the activities put nothing of the mail into it
}

func (e *stepError) Error() string { return string(e.code) + ": " + e.sentence }

// failed puts the failure of an activity into our words. An attempt that did not
// end in time counts as the class's late code, an unknown failure as internal. What is
// internal and may be cured by time has nothing to say to people.
func failed(name string, o stepOptions, err error) *stepError {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		for _, c := range fault.Codes {
			if app.Type() == string(c) && (c != fault.Internal || app.NonRetryable()) {
				return &stepError{code: c, sentence: name + ": " + app.Message()}
			}
		}
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		return &stepError{code: o.late, sentence: name + ": an attempt did not end in time"}
	}
	return &stepError{code: fault.Internal, sentence: name + ": something went wrong inside Mailroom"}
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

// holdReasons say why an email is held, by the code of the failure that ended a
// step. A code that time may cure ends a step only with its budget.
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

// sentenceOf gives the sentence of a failure.
func sentenceOf(err error) string {
	var failure *stepError
	if errors.As(err, &failure) {
		return failure.sentence
	}
	return "something went wrong inside Mailroom"
}
