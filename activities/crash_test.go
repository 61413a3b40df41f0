package activities

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
)

// attemptAfter runs one attempt after some that have not ended, and returns what its last
// heartbeat says.
func attemptAfter(t *testing.T, unfinished int, run func(context.Context) (any, error)) (last progress, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{
		&atAttempt{attempt: int32(unfinished + 1), heartbeat: 20 * time.Millisecond},
	}})
	if unfinished > 0 {
		env.SetHeartbeatDetails(progress{Unfinished: unfinished})
	}
	env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
		_ = details.Get(&last)
	})
	step := func(ctx context.Context) error {
		_, err := Attempt(ctx, run)
		return err
	}
	env.RegisterActivityWithOptions(step, activity.RegisterOptions{Name: "step"})
	_, err = env.ExecuteActivity("step")
	return last, err
}

func TestAttemptsThatNeverEndAreCounted(t *testing.T) {
	t.Parallel()
	ran := 0
	for unfinished := range crashAttempts {
		last, err := attemptAfter(t, unfinished, func(ctx context.Context) (any, error) {
			ran++
			heartbeat(ctx)
			return nil, nil
		})
		require.NoError(t, err)
		require.Equal(t, unfinished+1, last.Unfinished, "so many, should this one not end")
	}
	require.Equal(t, crashAttempts, ran)

	_, err := attemptAfter(t, crashAttempts, func(context.Context) (any, error) {
		t.Error("it is not tried once more")
		return nil, nil
	})
	got := applicationError(t, err)
	require.Equal(t, "internal", got.Type())
	require.True(t, got.NonRetryable())
	require.Contains(t, got.Message(), "ended its worker each time")

	last, err := attemptAfter(t, 3, func(context.Context) (any, error) { return nil, errors.New("a failure in order") })
	require.Error(t, err)
	require.Zero(t, last.Unfinished, "an attempt that fails in order begins the count anew")
}

// Attempts that were under way when one email ended their worker came again together
// with it, and were counted with it until they were held as well.
func TestOneEmailThatEndsWorkersTakesNoOthersAlong(t *testing.T) {
	t.Parallel()
	const timeout = 15 * time.Second
	for unfinished := range crashSuspected {
		require.Zero(t, crashWait(progress{Unfinished: unfinished}, timeout), "a single end costs no time")
	}

	seen := map[time.Duration]bool{}
	for range 50 {
		d := crashWait(progress{Unfinished: crashSuspected}, timeout)
		require.LessOrEqual(t, d, timeout/2, "the attempt must not miss its first heartbeat")
		seen[d] = true
	}
	require.Greater(t, len(seen), 25, "they come apart")
}

func TestWaitAfterACrashEndsWithItsAttempt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, wait(ctx, time.Hour), context.Canceled)
}
