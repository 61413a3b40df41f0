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
	maintenanceEvery = time.Minute
	// maintenanceTimeout ends a run that hangs, so that the next can start.
	maintenanceTimeout = 15 * time.Minute
	// maintenanceCatchUp is how late a run may start after an outage of Temporal: of the
	// runs that were missed one is enough.
	maintenanceCatchUp = 10 * time.Second
	// oldSchedule is an earlier name, from when its runs had IDs that an event can have.
	oldSchedule = "mailroom-tend"
)

// scheduleMaintenance creates the schedule that starts Maintenance, as soon as Temporal
// accepts it. An existing schedule starts the workflow of this program from then on, and
// stays as it is otherwise, also when an operator has paused or changed it. The schedule
// of older programs is removed. It returns when that is done or ctx is.
func scheduleMaintenance(ctx context.Context, p *program.Program, tc client.Client) {
	err := p.Await(ctx, "schedule", func(ctx context.Context) error {
		action := &client.ScheduleWorkflowAction{
			ID: contract.MaintenanceWorkflowID, Workflow: contract.MaintenanceWorkflow, Args: []any{contract.MaintenanceInput{}},
			TaskQueue: contract.TaskQueue, WorkflowExecutionTimeout: maintenanceTimeout,
			StaticSummary: "resumes emails whose dependency has recovered, removes discarded content",
		}
		_, err := tc.ScheduleClient().Create(ctx, client.ScheduleOptions{
			ID:                 contract.MaintenanceSchedule,
			Spec:               client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: maintenanceEvery}}},
			Overlap:            enums.SCHEDULE_OVERLAP_POLICY_SKIP,
			CatchupWindow:      maintenanceCatchUp,
			Action:             action,
			TriggerImmediately: true,
		})
		if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
			err = startWorkflow(ctx, tc.ScheduleClient().GetHandle(ctx, contract.MaintenanceSchedule), action)
		}
		if err != nil {
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

// startWorkflow makes a schedule start the workflow of action, unless it does so already.
func startWorkflow(ctx context.Context, schedule client.ScheduleHandle, action *client.ScheduleWorkflowAction) error {
	err := schedule.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		if is, ok := in.Description.Schedule.Action.(*client.ScheduleWorkflowAction); ok && is.Workflow == action.Workflow {
			return nil, temporal.ErrSkipScheduleUpdate
		}
		changed := in.Description.Schedule
		changed.Action = action
		return &client.ScheduleUpdate{Schedule: &changed}, nil
	}})
	if err != nil {
		return fmt.Errorf("update schedule: %w", err)
	}
	return nil
}
