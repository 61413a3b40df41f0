package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Bounds of marking. A mark that is late or lost costs one more start that finds
// its workflow running.
const (
	marksMost   = 4096 // beyond it the oldest are dropped
	markBatch   = 256
	markLinger  = 50 * time.Millisecond
	markTimeout = time.Second
	markPause   = time.Second // after a write that failed
)

// markBuffer marks rows as started in the inbox, many in one write: marks that come while
// a write is under way, or within markLinger, go into the next one. No start waits for it.
type markBuffer struct {
	inbox   Inbox
	logger  *slog.Logger
	quit    chan struct{}
	wake    chan struct{} // holds a token after the first add, and after a batch is full
	running sync.WaitGroup

	mu   sync.Mutex
	ids  []int64
	lost int // dropped since the last write
}

func newMarkBuffer(inbox Inbox, logger *slog.Logger) *markBuffer {
	return &markBuffer{inbox: inbox, logger: logger, quit: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// add never blocks.
func (m *markBuffer) add(id int64) {
	m.mu.Lock()
	m.ids = append(m.ids, id)
	n := len(m.ids)
	m.dropOldest()
	m.mu.Unlock()
	if n == 1 || n >= markBatch {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// dropOldest drops the marks beyond marksMost. The caller holds m.mu.
func (m *markBuffer) dropOldest() {
	if over := len(m.ids) - marksMost; over > 0 {
		m.ids = m.ids[over:]
		m.lost += over
	}
}

func (m *markBuffer) start() { m.running.Go(m.run) }

// stop writes the marks that were added, unless the first write fails. Nothing may be
// added after it.
func (m *markBuffer) stop() {
	close(m.quit)
	m.running.Wait()
}

func (m *markBuffer) run() {
	failing := false
	for stopping := false; !stopping; {
		stopping = m.awaitBatch()
		for m.size() > 0 {
			err := m.writeBatch()
			m.logChange(err, failing)
			failing = err != nil

			switch {
			case failing && stopping:
				return
			case failing:
				stopping = m.pause(markPause)
			}
			if m.size() < markBatch && !stopping {
				break // few enough to wait for others
			}
		}
	}
}

// logChange logs when marking begins to fail and when it works again.
func (m *markBuffer) logChange(err error, failing bool) {
	switch {
	case err != nil && !failing:
		m.logger.Warn("inbox.mark", slog.Any("error", err))
	case err == nil && failing:
		m.logger.Info("inbox.mark_again")
	}
}

// awaitBatch waits until there is a mark and others had time to join. It reports whether
// the buffer stops.
func (m *markBuffer) awaitBatch() bool {
	if m.size() == 0 {
		select {
		case <-m.wake:
		case <-m.quit:
			return true
		}
	}

	linger := time.NewTimer(markLinger)
	defer linger.Stop()
	for m.size() < markBatch {
		select {
		case <-m.wake:
		case <-linger.C:
			return false
		case <-m.quit:
			return true
		}
	}
	return false
}

func (m *markBuffer) pause(d time.Duration) (stopped bool) {
	select {
	case <-time.After(d):
		return false
	case <-m.quit:
		return true
	}
}

func (m *markBuffer) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ids)
}

// writeBatch writes the oldest marks. If that fails they wait on.
func (m *markBuffer) writeBatch() error {
	m.mu.Lock()
	batch := m.ids[:min(len(m.ids), markBatch)]
	m.ids = m.ids[len(batch):]
	lost := m.lost
	m.lost = 0
	m.mu.Unlock()

	if lost > 0 {
		m.logger.Warn("inbox.marks_given_up", slog.Int("rows", lost))
	}

	ctx, cancel := context.WithTimeout(context.Background(), markTimeout)
	defer cancel()
	err := m.inbox.MarkStarted(ctx, batch)
	if err != nil {
		m.mu.Lock()
		m.ids = append(append(make([]int64, 0, len(batch)+len(m.ids)), batch...), m.ids...)
		m.dropOldest()
		m.mu.Unlock()
	}
	return err
}
