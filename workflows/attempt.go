package workflows

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// call is one activity with its input and the place for its result.
type call struct {
	activity any // a method reference
	in       any // of the first attempt
	later    any // of all further attempts
	out      any // nil: the activity has no result
}

// callOf returns a call whose attempts all have the same input.
func callOf[I, O any](activity func(context.Context, I) (O, error), in I, out *O) call {
	return call{activity: activity, in: in, later: in, out: out}
}

// effectOf is callOf for an activity without a result.
func effectOf[I any](activity func(context.Context, I) error, in I) call {
	return call{activity: activity, in: in, later: in}
}

// attempts is how a call is made.
type attempts struct {
	name    string // as the Web UI shows it
	options stepOptions
	// journal shows the wait for the next attempt as the state retrying; nil: the
	// state of the email stays as it is.
	journal *journal
	// decidable lets people end the wait by a decision. It needs a journal.
	decidable bool
	// patient goes on when the budget of the durable attempts is spent.
	patient bool
	// afterFirst is called with the outcome of the first attempt; may be nil.
	afterFirst func(error)
}

// run makes a call: first fast, inside the worker and with one attempt, which on the
// good path costs Temporal nothing but a marker; then, when that failed for a reason
// that time may cure, durably, visible in the Web UI with attempt count and last
// failure. Both are the same function, so it must be idempotent. Where the options or
// the worker rule a fast attempt out, a regular activity makes the first one. An error
// is a *stepError or, where people may decide about the wait, an *interruption.
func (a attempts) run(ctx workflow.Context, c call) error {
	err := a.first(ctx, c)
	if a.afterFirst != nil {
		a.afterFirst(err)
	}
	if !curable(err) || ctx.Err() != nil {
		return a.failed(err)
	}

	if a.journal == nil {
		return a.failed(a.retry(ctx, c, err))
	}
	return a.wait(ctx, c, err)
}

// first makes the first attempt. Where people may decide about the wait for the next one,
// nothing cuts it short: how it ends has to be known before another one is made.
func (a attempts) first(ctx workflow.Context, c call) error {
	if a.decidable {
		ctx, _ = workflow.NewDisconnectedContext(ctx)
	}

	var err error
	fast := !a.options.neverFast && !paceOf(ctx).regular
	if fast {
		local := a.options.fast
		local.Summary = a.name
		err = workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, local), c.activity, c.in).Get(ctx, c.out)
	}
	if !fast || wantsRegular(ctx, err) {
		once := a.options.once()
		once.Summary = a.name
		err = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, once), c.activity, c.in).Get(ctx, c.out)
	}
	return err
}

// retry makes the durable attempts after one that failed with err.
func (a attempts) retry(ctx workflow.Context, c call, err error) error {
	for {
		summary := workflow.TimerOptions{Summary: "before the next attempt: " + a.name}
		if err := workflow.NewTimerWithOptions(ctx, askedWait(ctx, err), summary).Get(ctx, nil); err != nil {
			return err
		}

		durable := a.options.durable
		durable.Summary = a.name
		durable.WaitForCancellation = a.decidable // an attempt that is being made comes to its end
		err = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, durable), c.activity, c.later).Get(ctx, c.out)
		if !a.patient || !curable(err) || ctx.Err() != nil {
			return err
		}
	}
}

// ask runs an activity that a decision waits for. It fails within seconds, and then
// the sender of the decision tries again.
func ask(ctx workflow.Context, c call) error {
	fast := intentOptions()
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, fast), c.activity, c.in).Get(ctx, c.out)
	if !wantsRegular(ctx, err) {
		return err
	}

	regular := workflow.ActivityOptions{
		StartToCloseTimeout: fast.StartToCloseTimeout, ScheduleToCloseTimeout: fast.ScheduleToCloseTimeout, RetryPolicy: fast.RetryPolicy,
	}
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, regular), c.activity, c.in).Get(ctx, c.out)
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

// wantsRegular reports whether the worker answered a fast attempt that a regular
// activity has to make it, perhaps all attempts from now on. The fast attempt has done
// nothing then.
func wantsRegular(ctx workflow.Context, err error) bool {
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

// curable reports whether another attempt may end better than one that failed with
// err. A failure that is not known to be final is: mail must not be lost to an
// unclassified error.
func curable(err error) bool {
	if err == nil {
		return false
	}
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

// askedWait returns how long the failed attempt asked to wait, at least firstWait and
// at most longestAsk. An attempt that asks for nothing has not ended by itself: it
// timed out, perhaps together with everything that its worker was doing. Such attempts
// come again spread over a second, by the IDs of their workflows.
func askedWait(ctx workflow.Context, err error) time.Duration {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.NextRetryDelay() > 0 {
		return min(max(app.NextRetryDelay(), firstWait), longestAsk)
	}

	id := fnv.New32a()
	_, _ = id.Write([]byte(workflow.GetInfo(ctx).WorkflowExecution.ID)) // never fails
	return firstWait + time.Duration(id.Sum32()%1000)*time.Millisecond
}
