package workflows_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/workflows"
)

// TestAttemptThatIsNotFastIsNoFailure: where the worker answers that a regular activity
// has to make the attempt, that comes at once, and no wait is shown.
func TestAttemptThatIsNotFastIsNoFailure(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.deliver = func(ctx context.Context, _ int, _ contract.DeliverInput) (contract.DeliverResult, error) {
		if activity.GetInfo(ctx).IsLocalActivity {
			return contract.DeliverResult{}, activities.NotFast()
		}
		return contract.DeliverResult{Status: 200, Attempts: 1}, nil
	}
	e := env(t, s)
	began := e.Now()
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, []contract.State{contract.Delivered}, s.calls.states())
	require.Equal(t, 2, s.calls.steps["Deliver ticketing"])
	require.Zero(t, e.Now().Sub(began), "no timer stands between the two")
}

// TestRegularFirstAttemptThatFailsWaitsVisibly: the attempt after a fast one that was
// not allowed counts as the first.
func TestRegularFirstAttemptThatFailsWaitsVisibly(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.deliver = func(ctx context.Context, n int, _ contract.DeliverInput) (contract.DeliverResult, error) {
		switch {
		case activity.GetInfo(ctx).IsLocalActivity:
			return contract.DeliverResult{}, activities.NotFast()
		case n < 3:
			return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, 0)
		}
		return contract.DeliverResult{Status: 200, Attempts: n}, nil
	}
	e := env(t, s)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, []contract.State{contract.Retrying, contract.Processing, contract.Delivered}, s.calls.states())
}

// TestRunThatMayEndItsWorkersIsRegularFromThenOn: one answer is enough for all later
// steps, so that each of them does not end a worker twice.
func TestRunThatMayEndItsWorkersIsRegularFromThenOn(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.deliver = func(ctx context.Context, _ int, _ contract.DeliverInput) (contract.DeliverResult, error) {
		if activity.GetInfo(ctx).IsLocalActivity {
			return contract.DeliverResult{}, activities.NeverFast()
		}
		return contract.DeliverResult{Status: 200, Attempts: 1}, nil
	}
	e := env(t, s)
	var fast, regular []string
	e.SetOnLocalActivityStartedListener(func(info *activity.Info, _ context.Context, _ []any) {
		fast = append(fast, info.ActivityType.Name)
	})
	e.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		regular = append(regular, info.ActivityType.Name)
	})
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	require.Equal(t, []string{"Store", "Inspect", "Route", "Deliver"}, fast)
	require.Equal(t, []string{"Deliver", "RecordState"}, regular)
}
