package worker

import (
	"context"
	"sync"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"google.golang.org/grpc"

	"mailroom/activities"
	"mailroom/shared/contract"
)

const (
	// fastTasks is the last attempt of a workflow task in which fast attempts are made. A
	// process that ends inside one leaves no trace but this count: the next worker gets
	// the same task, and would end as well.
	fastTasks = 2
	// rememberedTasks bounds how many runs are remembered. One that is forgotten is
	// tried fast once more.
	rememberedTasks = 4096
)

// taskAttempts remembers the runs whose current workflow task has failed often. The count
// comes from the answers to the worker's polls: the SDK does not show it to activities.
type taskAttempts struct {
	mu   sync.Mutex
	runs map[string]struct{} // by run ID
}

func newTaskAttempts() *taskAttempts { return &taskAttempts{runs: map[string]struct{}{}} }

// dialOption makes a worker's connection report each workflow task that it polls.
func (a *taskAttempts) dialOption() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		err := invoke(ctx, method, req, reply, cc, options...)
		if task, ok := reply.(*workflowservice.PollWorkflowTaskQueueResponse); ok && err == nil {
			a.polled(task.GetWorkflowExecution().GetRunId(), task.GetAttempt())
		}
		return err
	})
}

func (a *taskAttempts) polled(run string, attempt int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if attempt <= fastTasks {
		delete(a.runs, run)
		return
	}
	if len(a.runs) >= rememberedTasks {
		for other := range a.runs {
			delete(a.runs, other)
			break
		}
	}
	a.runs[run] = struct{}{}
}

// failing reports whether the current workflow task of a run has failed too often for
// fast attempts.
func (a *taskAttempts) failing(run string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.runs[run]
	return ok
}

// attemptInterceptor keeps an email that ends the process from ending every worker. A fast
// attempt returns NeverFast once its workflow task has failed often, so that regular
// activities make all attempts; the result is in the history, so a replay does the same.
// A regular activity counts its own attempts.
type attemptInterceptor struct {
	interceptor.WorkerInterceptorBase
	tasks *taskAttempts
}

// InterceptActivity implements interceptor.WorkerInterceptor.
func (s *attemptInterceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &attemptInbound{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, tasks: s.tasks}
}

type attemptInbound struct {
	interceptor.ActivityInboundInterceptorBase
	tasks *taskAttempts
}

// ExecuteActivity implements interceptor.ActivityInboundInterceptor.
func (s *attemptInbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	switch {
	case info.WorkflowType == nil || info.WorkflowType.Name != contract.InboundEmailWorkflow: // no step
	case !info.IsLocalActivity:
		return activities.Attempt(ctx, func(ctx context.Context) (any, error) { return s.Next.ExecuteActivity(ctx, in) })
	case s.tasks.failing(info.WorkflowExecution.RunID):
		activity.GetLogger(ctx).Warn("step.not_fast", "detail", "the workflow task has failed often; regular activities make the attempts")
		return nil, activities.NeverFast()
	}
	return s.Next.ExecuteActivity(ctx, in) //nolint:wrapcheck // the activity's own error
}
