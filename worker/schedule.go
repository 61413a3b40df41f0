package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
	"mailroom/shared/program"
)

const (
	tendEvery = time.Minute
	// tendTimeout ends one that hangs, so that the next may come.
	tendTimeout = 15 * time.Minute
	// tendCatchUp is how late one may be started after an outage of Temporal: one of
	// them is enough.
	tendCatchUp = 10 * time.Second
	// oldSchedule is what the schedule was called while its runs had IDs that events
	// can have.
	oldSchedule = "mailroom-tend"
)

// scheduleTending makes the schedule that starts Tend, as soon as Temporal takes it
// and unless it is there already: what somebody paused or changed in the Web UI stays
// so. The one of older programs is removed. It returns when that is done or ctx ends.
func scheduleTending(ctx context.Context, p *program.Program, tc client.Client) {
	err := p.Await(ctx, "schedule", func(ctx context.Context) error {
		_, err := tc.ScheduleClient().Create(ctx, client.ScheduleOptions{
			ID:            contract.MaintenanceSchedule,
			Spec:          client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: tendEvery}}},
			Overlap:       enums.SCHEDULE_OVERLAP_POLICY_SKIP,
			CatchupWindow: tendCatchUp,
			Action: &client.ScheduleWorkflowAction{
				ID: contract.MaintenanceWorkflowID, Workflow: contract.TendWorkflow, Args: []any{contract.TendInput{}},
				TaskQueue: contract.TaskQueue, WorkflowExecutionTimeout: tendTimeout,
				StaticSummary: "brings back what was away, removes what has to go",
			},
			TriggerImmediately: true,
		})
		if err != nil && !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
			return fmt.Errorf("create schedule: %w", err)
		}
		err = tc.ScheduleClient().GetHandle(ctx, oldSchedule).Delete(ctx)
		var gone *serviceerror.NotFound
		if err != nil && !errors.As(err, &gone) {
			return fmt.Errorf("delete schedule %s: %w", oldSchedule, err)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		p.Logger.Error("worker.schedule", "error", err)
	}
}
