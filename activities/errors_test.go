package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

func applicationError(t *testing.T, err error) *temporal.ApplicationError {
	t.Helper()
	var ae *temporal.ApplicationError
	require.ErrorAs(t, err, &ae)
	return ae
}

func TestEveryCodeHasARow(t *testing.T) {
	t.Parallel()
	table := rows()
	require.Len(t, table, len(fault.Codes))
	for _, code := range fault.Codes {
		require.Contains(t, table, code)
		f := fault.Wrap(code, "a public sentence", errors.New("canary"))
		got := applicationError(t, toTemporal(fmt.Errorf("do it with canary: %w", f)))
		require.Equal(t, string(code), got.Type())
		require.Equal(t, "a public sentence", got.Message())
		require.Equal(t, !f.Temporary, got.NonRetryable(), code)
		require.NoError(t, errors.Unwrap(got), "the cause stays here")
		require.NotContains(t, got.Error(), "canary")
		require.False(t, got.HasDetails())
		if got.NonRetryable() {
			require.Zero(t, got.NextRetryDelay())
		}
	}
}

func TestToTemporal(t *testing.T) {
	t.Parallel()
	require.NoError(t, toTemporal(nil))
	// The very value, without what was wrapped around it.
	require.Equal(t, context.Canceled, toTemporal(fmt.Errorf("put canary: %w", context.Canceled)))
	require.Equal(t, context.Canceled, toTemporal(fault.Wrap(fault.StorageUnavailable, "away", context.Canceled)))

	for _, err := range []error{errors.New("canary"), fmt.Errorf("canary: %w", context.DeadlineExceeded)} {
		unknown := applicationError(t, toTemporal(err))
		require.Equal(t, string(fault.Internal), unknown.Type())
		require.False(t, unknown.NonRetryable())
		require.NotContains(t, unknown.Error(), "canary")
	}
	foreign := applicationError(t, toTemporal(fault.New("not_in_the_table", "odd")))
	require.Equal(t, "not_in_the_table", foreign.Type())
	require.True(t, foreign.NonRetryable())
	require.Equal(t, "internal", applicationError(t, toTemporal(fault.New(fault.Internal, ""))).Message())
}

func TestToTemporalDelay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		f    *fault.Error
		want time.Duration
	}{
		"none":           {fault.New(fault.StorageUnavailable, "x"), 0},
		"asked":          {fault.New(fault.DownstreamUnavailable, "x").After(90 * time.Second), 90 * time.Second},
		"breaker's own":  {fault.New(fault.BreakerOpen, "x").After(30 * time.Second), 30 * time.Second},
		"breaker's none": {fault.New(fault.BreakerOpen, "x"), time.Second},
		"clamped":        {fault.New(fault.DownstreamUnavailable, "x").After(1e9 * time.Second), time.Hour},
		"negative":       {fault.New(fault.DownstreamUnavailable, "x").After(-time.Second), 0},
		"permanent":      {fault.New(fault.DownstreamUnavailable, "x").After(time.Minute).Permanent(), 0},
	} {
		require.Equal(t, tc.want, applicationError(t, toTemporal(tc.f)).NextRetryDelay(), name)
	}
}

// recorder keeps what the activity's logger was told.
type recorder struct{ lines *[]string }

func (r recorder) Debug(msg string, kv ...any) {
	*r.lines = append(*r.lines, fmt.Sprint("debug ", msg, kv))
}
func (r recorder) Info(msg string, kv ...any) {
	*r.lines = append(*r.lines, fmt.Sprint("info ", msg, kv))
}
func (r recorder) Warn(msg string, kv ...any) {
	*r.lines = append(*r.lines, fmt.Sprint("warn ", msg, kv))
}
func (r recorder) Error(msg string, kv ...any) {
	*r.lines = append(*r.lines, fmt.Sprint("error ", msg, kv))
}

var _ log.Logger = recorder{}

// atAttempt makes an activity believe in a number of attempts.
type atAttempt struct {
	interceptor.WorkerInterceptorBase
	attempt   int32
	policy    *temporal.RetryPolicy
	heartbeat time.Duration
	beats     chan struct{} // gets every heartbeat; nil: the test does not ask
}

func (a *atAttempt) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &inbound{ActivityInboundInterceptorBase: interceptor.ActivityInboundInterceptorBase{Next: next}, a: a}
}

type inbound struct {
	interceptor.ActivityInboundInterceptorBase
	a *atAttempt
}

func (i *inbound) Init(out interceptor.ActivityOutboundInterceptor) error {
	return i.Next.Init(&outbound{ActivityOutboundInterceptorBase: interceptor.ActivityOutboundInterceptorBase{Next: out}, a: i.a})
}

type outbound struct {
	interceptor.ActivityOutboundInterceptorBase
	a *atAttempt
}

func (o *outbound) GetInfo(ctx context.Context) activity.Info {
	info := o.Next.GetInfo(ctx)
	info.Attempt, info.HeartbeatTimeout, info.RetryPolicy = o.a.attempt, o.a.heartbeat, o.a.policy
	return info
}

func (o *outbound) RecordHeartbeat(ctx context.Context, details ...any) {
	if o.a.beats != nil {
		o.a.beats <- struct{}{}
	}
	o.Next.RecordHeartbeat(ctx, details...)
}

// runSettled runs body inside an activity and returns its error and the log.
func runSettled(t *testing.T, attempt int32, body func(ctx context.Context) error) ([]string, error) {
	t.Helper()
	return runSettledAs(t, &atAttempt{attempt: attempt}, body)
}

func runSettledAs(t *testing.T, as *atAttempt, body func(ctx context.Context) error) ([]string, error) {
	t.Helper()
	var lines []string
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(recorder{&lines})
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{as}})
	email := contract.Email{EventID: "evt-1", CorrelationID: "cor-1", Tenant: "acme", Source: "mailparse"}
	run := func(ctx context.Context) (err error) {
		defer translateError(ctx, email, &err)
		return body(ctx)
	}
	env.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: "run"})
	_, err := env.ExecuteActivity("run")
	var own []string
	for _, l := range lines {
		if strings.Contains(l, "step.failed") {
			own = append(own, l)
		}
	}
	return own, err
}

func TestSettleLogsTheCauseOnce(t *testing.T) {
	t.Parallel()
	lines, err := runSettled(t, 1, func(context.Context) error {
		return fmt.Errorf("put object: %w", fault.Wrap(fault.StorageUnavailable, "storage is unavailable", errors.New("the cause")))
	})
	got := applicationError(t, err)
	require.Equal(t, "storage_unavailable", got.Type())
	require.NotContains(t, err.Error(), "the cause")
	require.Len(t, lines, 1)
	for _, want := range []string{"warn ", "the cause", "evt-1", "cor-1", "acme", "mailparse", "storage_unavailable"} {
		require.Contains(t, lines[0], want)
	}

	lines, _ = runSettled(t, 1, func(context.Context) error { return fault.New(fault.ContentLost, "gone") })
	require.Len(t, lines, 1)
	require.True(t, strings.HasPrefix(lines[0], "error "))

	lines, err = runSettled(t, 1, func(context.Context) error { return nil })
	require.NoError(t, err)
	require.Empty(t, lines)
}

func TestSettleHoldsAPoisonEmailInTheEnd(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"canary", errors.New("canary"), fmt.Errorf("canary: %w", context.Canceled)} {
		for attempt := int32(1); attempt <= 6; attempt++ {
			lines, err := runSettled(t, attempt, func(context.Context) error { panic(value) })
			got := applicationError(t, err)
			require.Equal(t, "internal", got.Type())
			require.Equal(t, attempt >= 5, got.NonRetryable(), attempt)
			require.Len(t, lines, 1)
			require.Contains(t, lines[0], "errors_test.go", "the stack")
			require.NotContains(t, err.Error()+lines[0], "canary")
		}
	}
	lines, _ := runSettled(t, 1, func(context.Context) error {
		return fmt.Errorf("no %d", []int{1, 2}[attempt(t.Context())*2])
	})
	require.Contains(t, lines[0], "index out of range")
}

// Something cancelled inside an activity that was not cancelled is a failure
// with a code, not a cancellation.
func TestSettleTellsCancellationsApart(t *testing.T) {
	t.Parallel()
	lines, err := runSettled(t, 1, func(context.Context) error {
		return fault.Wrap(fault.StorageUnavailable, "away", context.Canceled)
	})
	require.Equal(t, "storage_unavailable", applicationError(t, err).Type())
	require.Len(t, lines, 1)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	outer := func() (err error) {
		defer translateError(ctx, contract.Email{}, &err)
		return fmt.Errorf("read: %w", ctx.Err())
	}
	require.Equal(t, context.Canceled, outer())
}
