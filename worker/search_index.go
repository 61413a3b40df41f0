package worker

import (
	"context"
	"log/slog"
	"time"
)

const (
	indexEvery = 3 * time.Second
	// indexAtOnce bounds what one turn moves, so that a stop waits for seconds at most.
	indexAtOnce = 20_000
	indexWithin = time.Minute
)

// searchIndex takes up what the store step left to be indexed.
type searchIndex interface {
	IndexSearch(ctx context.Context, limit int) (int64, error)
}

// keepIndexed indexes for search what was stored, every few seconds until ctx is
// done. Several workers share the rows; while none does it, searches find the same
// and take longer.
func keepIndexed(ctx context.Context, index searchIndex, every time.Duration, logger *slog.Logger) {
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
