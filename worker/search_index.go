package worker

import (
	"context"
	"log/slog"
	"time"
)

const (
	indexEvery = 3 * time.Second
	// indexAtOnce bounds one turn, so that a stop waits for seconds at most.
	indexAtOnce = 20_000
	indexWithin = time.Minute
)

// searchIndex indexes the emails that the store step has queued.
type searchIndex interface {
	IndexSearch(ctx context.Context, limit int) (int64, error)
}

// indexSearches indexes stored emails for search, every few seconds until ctx is done.
// Workers share the rows; while none indexes, searches find the same and take longer.
func indexSearches(ctx context.Context, index searchIndex, every time.Duration, logger *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false

	for {
		turn, cancel := context.WithTimeout(ctx, indexWithin)
		_, err := index.IndexSearch(turn, indexAtOnce)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			logger.Warn("search.not_indexed", "error", err)
		}
		failing = err != nil

		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
