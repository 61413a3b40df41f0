package activities

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/fault"
)

// TestAttemptsThatFailTogetherDoNotComeAgainTogether: a thousand emails that wait for
// the same destination, scanner or store must not all ask it in the same second.
func TestAttemptsThatFailTogetherDoNotComeAgainTogether(t *testing.T) {
	t.Parallel()
	once := &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumAttempts: 1}
	many := &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute}
	for name, c := range map[string]struct {
		as          atAttempt
		f           func() *fault.Error
		least, most time.Duration
	}{
		"the first":  {atAttempt{attempt: 1, policy: once}, deliverFails, time.Second, 2 * time.Second},
		"the second": {atAttempt{attempt: 1, policy: many}, deliverFails, 500 * time.Millisecond, time.Second},
		"the fifth":  {atAttempt{attempt: 5, policy: many}, scannerFails, 8 * time.Second, 16 * time.Second},
		"the 40th":   {atAttempt{attempt: 40, policy: many}, storeFails, 30 * time.Second, time.Minute},
		"asked": {atAttempt{attempt: 3, policy: many}, func() *fault.Error { return deliverFails().After(90 * time.Second) },
			90 * time.Second, 113 * time.Second},
		"asked for a day": {atAttempt{attempt: 3, policy: many}, func() *fault.Error { return deliverFails().After(24 * time.Hour) },
			time.Hour, time.Hour + time.Minute},
		"asked for little at first": {atAttempt{attempt: 1, policy: once}, func() *fault.Error { return deliverFails().After(time.Millisecond) },
			time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := map[time.Duration]bool{}
			for range 20 {
				_, err := runSettledAs(t, &c.as, func(context.Context) error { return c.f() })
				delay := applicationError(t, err).NextRetryDelay()
				require.GreaterOrEqual(t, delay, c.least)
				require.LessOrEqual(t, delay, c.most)
				seen[delay] = true
			}
			if c.least < c.most {
				require.Greater(t, len(seen), 10, "they come apart")
			}
		})
	}
}

func deliverFails() *fault.Error { return fault.New(fault.DownstreamUnavailable, "x") }
func scannerFails() *fault.Error { return fault.New(fault.ScannerUnavailable, "x") }
func storeFails() *fault.Error   { return fault.New(fault.StorageUnavailable, "x") }

func TestDelayIsDecidedOnce(t *testing.T) {
	t.Parallel()
	err := delayed(t.Context(), deliverFails())
	require.Equal(t, delayOf(err), delayOf(delayed(t.Context(), err)))
	require.Equal(t, delayOf(err), applicationError(t, toTemporal(err)).NextRetryDelay())
	require.NoError(t, delayed(t.Context(), nil))
	final := fault.New(fault.ContentLost, "x")
	require.Equal(t, error(final), delayed(t.Context(), final))
	require.Zero(t, delayOf(final))
}
