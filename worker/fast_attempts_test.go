package worker

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/testenv"
	"mailroom/workflows"
)

func TestRunsWhoseTasksFailAreRemembered(t *testing.T) {
	t.Parallel()
	a := newTaskAttempts()
	for attempt := int32(1); attempt <= fastTasks; attempt++ {
		a.polled("run", attempt)
		require.False(t, a.failing("run"))
	}
	a.polled("run", fastTasks+1)
	require.True(t, a.failing("run"))
	require.False(t, a.failing("another"))
	a.polled("run", 1)
	require.False(t, a.failing("run"), "the next task begins anew")
	for i := range 2 * rememberedTasks {
		a.polled(strconv.Itoa(i), 9)
	}
	require.Len(t, a.runs, rememberedTasks)
}

func TestWhatIsPolledIsSeen(t *testing.T) {
	t.Parallel()
	a := newTaskAttempts()
	cc, err := grpc.NewClient("passthrough:///nowhere", a.dialOption(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(func(_ context.Context, _ string, _, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
			task := reply.(*workflowservice.PollWorkflowTaskQueueResponse)
			task.WorkflowExecution, task.Attempt = &common.WorkflowExecution{RunId: "run"}, 3
			return nil
		}))
	require.NoError(t, err)
	defer func() { _ = cc.Close() }()
	_, err = workflowservice.NewWorkflowServiceClient(cc).PollWorkflowTaskQueue(t.Context(), &workflowservice.PollWorkflowTaskQueueRequest{})
	require.NoError(t, err)
	require.True(t, a.failing("run"))
}

// The worker that dies is this test program, started once more with these variables.
const (
	crashQueue   = "MAILROOM_TEST_CRASH_QUEUE"
	crashAddress = "MAILROOM_TEST_CRASH_TEMPORAL"
	crashCode    = 71
)

// crashing are the activities of a worker that one email ends: "local" inside fast
// attempts alone, "always" in each.
type crashing struct{}

func (*crashing) end(ctx context.Context, e contract.Email) {
	if e.EventID == "always" || e.EventID == "local" && activity.GetInfo(ctx).IsLocalActivity {
		os.Exit(crashCode)
	}
}

func (*crashing) Store(context.Context, contract.StoreInput) (contract.StoreResult, error) {
	return contract.StoreResult{}, nil
}

func (c *crashing) Inspect(ctx context.Context, in contract.InspectInput) (contract.InspectResult, error) {
	c.end(ctx, in.Email)
	return contract.InspectResult{}, nil
}

func (*crashing) Route(context.Context, contract.RouteInput) (contract.RouteResult, error) {
	return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing"}}, nil
}

func (*crashing) Deliver(context.Context, contract.DeliverInput) (contract.DeliverResult, error) {
	return contract.DeliverResult{Status: 200, Attempts: 1}, nil
}

func (*crashing) RecordState(context.Context, contract.RecordInput) error { return nil }

func (*crashing) PlanHold(context.Context, contract.HoldInput) (contract.HoldPlan, error) {
	return contract.HoldPlan{Approvals: 1}, nil
}

// inspectOnly is one step with the timeouts of a test in place of those of options.go.
func inspectOnly(ctx workflow.Context, in contract.InboundEmailInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute, HeartbeatTimeout: time.Second,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 50 * time.Millisecond, BackoffCoefficient: 1},
	})
	return workflow.ExecuteActivity(ctx, "Inspect", contract.InspectInput{Email: in.Email}).Get(ctx, nil)
}

// TestCrashingWorker is no test of its own: it is the worker of TestEmailThatEndsItsWorker.
func TestCrashingWorker(t *testing.T) {
	queue := os.Getenv(crashQueue)
	if queue == "" {
		return
	}
	tasks := newTaskAttempts()
	c, err := client.Dial(client.Options{
		HostPort: os.Getenv(crashAddress), ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{tasks.dialOption()}},
	})
	require.NoError(t, err)
	defer c.Close()
	w := sdkworker.New(c, queue, sdkworker.Options{Interceptors: []interceptor.WorkerInterceptor{&attemptInterceptor{tasks: tasks}}})
	w.RegisterActivity(&crashing{})
	if os.Getenv("MAILROOM_TEST_CRASH_STEP") == "" {
		w.RegisterWorkflow(workflows.InboundEmail)
	} else {
		w.RegisterWorkflowWithOptions(inspectOnly, workflow.RegisterOptions{Name: contract.InboundEmailWorkflow})
	}
	require.NoError(t, w.Run(sdkworker.InterruptCh()))
}

// crashLoop starts a worker anew each time it dies, as a supervisor does, and counts.
type crashLoop struct {
	mu      sync.Mutex
	crashes int
}

func (l *crashLoop) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crashes
}

func keepCrashing(t *testing.T, address, queue string, more ...string) *crashLoop {
	t.Helper()
	l, done := &crashLoop{}, make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrashingWorker$", "-test.timeout=5m")
			cmd.Env = append(append(os.Environ(), crashQueue+"="+queue, crashAddress+"="+address), more...)
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			cmd.WaitDelay = 20 * time.Second
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			_ = cmd.Run()
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != crashCode {
				if ctx.Err() == nil {
					t.Logf("a worker ended otherwise: %s", out.String())
				}
				return
			}
			l.mu.Lock()
			l.crashes++
			l.mu.Unlock()
		}
	}()
	return l
}

// TestEmailThatEndsItsWorker: a process that dies inside a fast attempt does not die
// again and again on the same email, and other emails go on.
func TestEmailThatEndsItsWorker(t *testing.T) {
	t.Parallel()
	address := testenv.Temporal(t)
	c, err := client.Dial(client.Options{HostPort: address})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	queue := "crash-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	start := func(queue, event string) client.WorkflowRun {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: queue + event, TaskQueue: queue, WorkflowTaskTimeout: 2 * time.Second,
		}, contract.InboundEmailWorkflow, contract.InboundEmailInput{Email: contract.Email{ID: 1, EventID: event, WorkflowID: queue + event}})
		require.NoError(t, err)
		return run
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	t.Run("in fast attempts", func(t *testing.T) {
		poison, other := start(queue, "local"), start(queue, "harmless")
		loop := keepCrashing(t, address, queue)
		var out contract.InboundEmailResult
		require.NoError(t, poison.Get(ctx, &out))
		require.Equal(t, contract.Delivered, out.State, "the regular way was open")
		require.NoError(t, other.Get(ctx, &out))
		require.Equal(t, contract.Delivered, out.State)
		require.Equal(t, fastTasks, loop.count(), "from the third attempt of a workflow task on nothing is fast")
	})
	t.Run("in every attempt", func(t *testing.T) {
		queue := queue + "-step"
		poison := start(queue, "always")
		loop := keepCrashing(t, address, queue, "MAILROOM_TEST_CRASH_STEP=1")
		var app *temporal.ApplicationError
		require.ErrorAs(t, poison.Get(ctx, nil), &app)
		require.Equal(t, string(fault.Internal), app.Type())
		require.Equal(t, 5, loop.count())
	})
}
