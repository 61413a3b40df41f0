package activities

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"mailroom/shared/contract"
)

// beating runs an activity on mail of size until wait returns.
func beating(t *testing.T, size int64, timeout time.Duration, local bool, body func(beats <-chan struct{})) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	// Counted before the SDK, which sends only some of them on.
	beats := make(chan struct{}, 1000)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{
		&atAttempt{attempt: 1, heartbeat: timeout, beats: beats},
	}})
	run := func(ctx context.Context) error {
		stop := startHeartbeat(ctx, size)
		body(beats)
		stop()
		return nil
	}
	if local {
		_, err := env.ExecuteLocalActivity(run)
		require.NoError(t, err)
		return
	}
	env.RegisterActivity(run)
	_, err := env.ExecuteActivity(run)
	require.NoError(t, err)
}

func TestBeat(t *testing.T) {
	t.Parallel()
	twice := func(beats <-chan struct{}) { <-beats; <-beats }
	once := func(beats <-chan struct{}) { <-beats }
	never := func(beats <-chan struct{}) {
		select {
		case <-beats:
			t.Error("a heartbeat")
		case <-time.After(50 * time.Millisecond):
		}
	}
	beating(t, contract.LargeMail+1, 0, false, once)
	beating(t, contract.LargeMail+1, 60*time.Millisecond, false, twice)
	beating(t, 1, 60*time.Millisecond, false, twice)
	beating(t, contract.LargeMail, 0, false, never)
	beating(t, contract.LargeMail+1, 60*time.Millisecond, true, never)
	startHeartbeat(t.Context(), contract.LargeMail+1)() // outside of any activity
}
