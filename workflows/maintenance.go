package workflows

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// tendOptions give up soon: the schedule comes again in a minute.
var tendOptions = workflow.ActivityOptions{
	StartToCloseTimeout: 5 * time.Minute,
	HeartbeatTimeout:    heartbeatTimeout,
	RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumAttempts: 2},
}

// Tend looks once after what nobody asks for: replays that nobody carries, emails
// that are held because something was away, content that has to go. One that fails
// keeps none of the others from being looked after.
func Tend(ctx workflow.Context, in contract.TendInput) (contract.TendResult, error) {
	var out contract.TendResult
	var failures []error
	for _, one := range []struct {
		summary string
		run     func(context.Context, contract.TendInput) (contract.TendResult, error)
	}{
		{"start replays that nobody carries", activity.tending.StartReplays},
		{"bring back what was away", activity.tending.BringBack},
		{"remove discarded content", activity.tending.Purge},
	} {
		options := tendOptions
		options.Summary = one.summary
		var did contract.TendResult
		err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), one.run, in).Get(ctx, &did)
		failures = append(failures, err)
		out.Causes += did.Causes
		out.Released += did.Released
		out.Started += did.Started
		out.Removed += did.Removed
		out.Objects += did.Objects
	}
	return out, errors.Join(failures...)
}
