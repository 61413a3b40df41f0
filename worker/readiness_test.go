package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/ledger"
)

// reports remembers what a worker has reported.
type reports struct {
	saved   chan map[string]string
	deleted chan string
	fail    bool
}

func (r *reports) SaveWorkerReport(_ context.Context, _ string, checks map[string]string) error {
	r.saved <- checks
	if r.fail {
		return errors.New("unavailable")
	}
	return nil
}

func (r *reports) DeleteWorkerReport(ctx context.Context, worker string) error {
	r.deleted <- worker
	return ctx.Err()
}

func TestWorkerReportsUntilItEnds(t *testing.T) {
	t.Parallel()
	store := &reports{saved: make(chan map[string]string), deleted: make(chan string, 1), fail: true}
	checks := map[string]string{"scanner": ledger.CheckUnavailable}
	r := reporter{worker: "w1", store: store, logger: slog.New(slog.DiscardHandler),
		check: func(context.Context) (map[string]string, bool) { return checks, false }}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.repeat(ctx, time.Millisecond) }()
	require.Equal(t, checks, <-store.saved)
	require.Equal(t, checks, <-store.saved, "it goes on after a failure")
	stop()
	for running := true; running; {
		select {
		case <-store.saved:
		case <-done:
			running = false
		}
	}
	require.Equal(t, "w1", <-store.deleted, "a worker that was stopped is not missing")
}
