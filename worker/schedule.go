package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
)

const (
	tendEvery = time.Minute
	// tendTimeout ends one that hangs, so that the next may come.
	tendTimeout = 15 * time.Minute
	// tendCatchUp is how late one may be started after an outage of Temporal: one of
	// them is enough.
	tendCatchUp = 10 * time.Second
)

// scheduleTending makes the schedule that starts Tend, as soon as Temporal takes it
// and unless it is there already: whoever paused or changed it in the Web UI is
// obeyed. It returns when that is done or ctx ends.
func scheduleTending(ctx context.Context, tc client.Client, logger *slog.Logger) {
	err := patiently(ctx, logger, "schedule", func(ctx context.Context) (bool, error) {
		_, err := tc.ScheduleClient().Create(ctx, client.ScheduleOptions{
			ID:            contract.TendSchedule,
			Spec:          client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: tendEvery}}},
			Overlap:       enums.SCHEDULE_OVERLAP_POLICY_SKIP,
			CatchupWindow: tendCatchUp,
			Action: &client.ScheduleWorkflowAction{
				ID: contract.TendSchedule, Workflow: contract.TendWorkflow, Args: []any{contract.TendInput{}},
				TaskQueue: contract.TaskQueue, WorkflowExecutionTimeout: tendTimeout,
				StaticSummary: "brings back what was away, removes what has to go",
			},
			TriggerImmediately: true,
		})
		if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
			return false, nil
		}
		if err != nil {
			return true, fmt.Errorf("create schedule: %w", err)
		}
		return false, nil
	})
	if err != nil && ctx.Err() == nil {
		logger.Error("worker.schedule", "error", err)
	}
}
