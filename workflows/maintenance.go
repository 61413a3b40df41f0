package workflows

import (
	"context"
	"errors"

	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
)

// Maintenance does once what no request asks for: it starts replays whose workflow is
// missing, releases emails that an outage held, and removes content that has to go. A
// task that fails keeps none of the others from being done.
func Maintenance(ctx workflow.Context, in contract.MaintenanceInput) (contract.MaintenanceResult, error) {
	var out contract.MaintenanceResult
	var failures []error
	for _, task := range []struct {
		summary string
		run     func(context.Context, contract.MaintenanceInput) (contract.MaintenanceResult, error)
	}{
		{"start replays whose workflow is missing", activity.starts.StartReplays},
		{"release emails that an outage held", activity.recovery.ReleaseRecovered},
		{"remove discarded content", activity.purge.Purge},
	} {
		options := maintenanceOptions
		options.Summary = task.summary
		var did contract.MaintenanceResult
		err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), task.run, in).Get(ctx, &did)
		failures = append(failures, err)

		out.Causes += did.Causes
		out.Released += did.Released
		out.Started += did.Started
		out.Removed += did.Removed
		out.Objects += did.Objects
	}
	return out, errors.Join(failures...)
}
