package accept

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
)

// openFallback returns a fallback and the Temporal that it starts workflows at.
func openFallback(t *testing.T) (*FallbackStarter, *ingresstest.Workflows) {
	t.Helper()
	workflows := &ingresstest.Workflows{}
	f, err := NewFallbackStarter(FallbackDeps{
		Workflows: workflows, Memos: ingresstest.Memos, Sealer: seal.Keyring{}, Registry: prometheus.NewRegistry(),
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return f, workflows
}

// TestLateEventIsStartedAllTheSame: an event that has waited long is still started,
// with the time that is left to it. That Temporal did not answer in so little time
// does not count against it.
func TestLateEventIsStartedAllTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, workflows := openFallback(t)
		late := func(id string, left time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			defer cancel()
			_, err := f.Start(ctx, postgres.Acceptance{
				Source: "mailparse", WorkflowID: id, EventID: id, Body: []byte(id),
			})
			return err
		}
		workflows.SetAnswer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		for i := range 2 * fallbackFailures {
			require.Error(t, late("evt_hung_"+strconv.Itoa(i), answerTime+leastFallback))
		}
		workflows.SetAnswer(nil)
		require.NoError(t, late("evt_1", answerTime+leastFallback))
		for range fallbackFailures {
			require.Error(t, late("evt_2", answerTime+leastFallback-1), "nothing is begun that cannot be answered")
		}
		require.NoError(t, late("evt_3", answerTime+leastFallback), "nor does that count")
	})
}

// TestSenderThatLeavesSaysNothing: a sender that gives up soon is not held against Temporal.
func TestSenderThatLeavesSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, workflows := openFallback(t)
		workflows.SetAnswer(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		start := func(id string) error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			defer time.AfterFunc(fairFallback/2, cancel).Stop()
			_, err := f.Start(ctx, postgres.Acceptance{
				Source: "mailparse", WorkflowID: id, EventID: id, Body: []byte(id),
			})
			return err
		}
		for i := range 2 * fallbackFailures {
			require.Error(t, start("evt_left_"+strconv.Itoa(i)))
		}
		workflows.SetAnswer(nil)
		require.NoError(t, start("evt_1"))

		// Nor is one that leaves before there is a place for it.
		require.True(t, f.places.TryAcquire(fallbackInFlight))
		for i := range fallbackFailures {
			require.Error(t, start("evt_outside_"+strconv.Itoa(i)))
		}
		f.places.Release(fallbackInFlight)
		require.NoError(t, start("evt_2"))
	})
}
