package ingress

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of marking. A mark that is late or lost costs one more start that finds
// its workflow running.
const (
	markQueue   = 1024
	markBatch   = 256
	markLinger  = 10 * time.Millisecond
	markTimeout = 3 * time.Second
	markTries   = 3
)

// marker notes started rows in the inbox, many in one write.
type marker struct {
	inbox   Inbox
	logger  *slog.Logger
	queue   chan int64
	waiting atomic.Int64 // added and not written yet
	running sync.WaitGroup
}

func newMarker(inbox Inbox, logger *slog.Logger) *marker {
	return &marker{inbox: inbox, logger: logger, queue: make(chan int64, markQueue)}
}

// add waits while too many marks wait already, which slows starting down with it.
func (m *marker) add(id int64) {
	m.waiting.Add(1)
	m.queue <- id
}

func (m *marker) start() { m.running.Go(m.run) }

// stop writes what was added; nothing may be added any more.
func (m *marker) stop() {
	close(m.queue)
	m.running.Wait()
}

func (m *marker) run() {
	for id := range m.queue {
		m.mark(m.collect(id))
	}
}

// collect waits for markLinger for others.
func (m *marker) collect(first int64) []int64 {
	ids := append(make([]int64, 0, markBatch), first)
	linger := time.NewTimer(markLinger)
	defer linger.Stop()
	for len(ids) < markBatch {
		select {
		case id, ok := <-m.queue:
			if !ok {
				return ids
			}
			ids = append(ids, id)
		case <-linger.C:
			return ids
		}
	}
	return ids
}

func (m *marker) mark(ids []int64) {
	defer m.waiting.Add(-int64(len(ids)))
	var err error
	for range markTries {
		ctx, cancel := context.WithTimeout(context.Background(), markTimeout)
		err = m.inbox.MarkStarted(ctx, ids)
		cancel()
		if err == nil {
			return
		}
	}
	m.logger.Warn("inbox.mark", slog.Int("rows", len(ids)), slog.Any("error", err))
}
