package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// turns is an index that fails a number of times.
type turns struct {
	fail int
	done chan int
	n    int
}

func (i *turns) IndexSearch(_ context.Context, limit int) (int64, error) {
	i.n++
	i.done <- limit
	if i.n <= i.fail {
		return 0, errors.New("away")
	}
	return 1, nil
}

func TestIndexingGoesOnAfterFailures(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	index := &turns{fail: 2, done: make(chan int)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		indexSearches(ctx, index, time.Millisecond, slog.New(slog.NewJSONHandler(&log, nil)))
	}()
	for range 4 {
		require.Equal(t, indexAtOnce, <-index.done)
	}
	cancel()
	for open := true; open; {
		select {
		case <-index.done:
		case <-ended:
			open = false
		}
	}
	require.Equal(t, 1, strings.Count(log.String(), "search.not_indexed"), "a failure is logged once")
}
