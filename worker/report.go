package worker

import (
	"context"
	"log/slog"
	"time"
)

const (
	// reportEvery is how often a worker writes what its /readyz says, for the console.
	reportEvery  = 10 * time.Second
	reportWithin = 5 * time.Second
)

// reportStore keeps what workers report.
type reportStore interface {
	SaveWorkerReport(ctx context.Context, worker string, checks map[string]string) error
	DeleteWorkerReport(ctx context.Context, worker string) error
}

// reporter writes the state of a worker's dependencies to the ledger.
type reporter struct {
	worker string
	check  func(context.Context) (checks map[string]string, ready bool)
	store  reportStore
	logger *slog.Logger
}

// repeat reports until ctx is done, then takes the report back: a worker that was stopped
// on purpose is not missing.
func (r reporter) repeat(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false
	for {
		err := r.report(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			r.logger.Warn("worker.not_reported", "error", err)
		}
		failing = err != nil

		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportWithin)
			defer cancel()
			if err := r.store.DeleteWorkerReport(last, r.worker); err != nil {
				r.logger.Warn("worker.report_not_deleted", "error", err)
			}
			return
		case <-ticker.C:
		}
	}
}

func (r reporter) report(ctx context.Context) error {
	checks, _ := r.check(ctx)
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	return r.store.SaveWorkerReport(ctx, r.worker, checks)
}
