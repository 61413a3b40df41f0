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
	marksMost   = 4096 // beyond it the oldest are given up
	markBatch   = 256
	markLinger  = 50 * time.Millisecond
	markTimeout = time.Second
	markPause   = time.Second // after a write that failed
)

// markBuffer notes started rows in the inbox, many in one write: what comes while a
// write is under way, or within markLinger, goes into the next one. Nobody waits
// for it.
type markBuffer struct {
	inbox   Inbox
	logger  *slog.Logger
	quit    chan struct{}
	wake    chan struct{} // holds a token after the first add, and after a batch is full
	running sync.WaitGroup

	mu   sync.Mutex
	ids  []int64
	lost int // given up since the last write
}

func newMarkBuffer(inbox Inbox, logger *slog.Logger) *markBuffer {
	return &markBuffer{inbox: inbox, logger: logger, quit: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// add never blocks.
func (m *markBuffer) add(id int64) {
	m.mu.Lock()
	m.ids = append(m.ids, id)
	n := len(m.ids)
	m.trim()
	m.mu.Unlock()
	if n == 1 || n >= markBatch {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// trim gives up what is too much. m.mu is held.
func (m *markBuffer) trim() {
	if over := len(m.ids) - marksMost; over > 0 {
		m.ids = m.ids[over:]
		m.lost += over
	}
}

func (m *markBuffer) start() { m.running.Go(m.run) }

// stop writes what was added, unless the first write fails; nothing may be added
// any more.
func (m *markBuffer) stop() {
	close(m.quit)
	m.running.Wait()
}

func (m *markBuffer) run() {
	away := false
	for stopping := false; !stopping; {
		stopping = m.await()
		for m.size() > 0 {
			err := m.mark()
			m.tell(err, away)
			away = err != nil
			switch {
			case away && stopping:
				return
			case away:
				stopping = m.pause(markPause)
			}
			if m.size() < markBatch && !stopping {
				break // few enough to wait for others
			}
		}
	}
}

// tell logs when marking begins to fail and when it works again.
func (m *markBuffer) tell(err error, away bool) {
	switch {
	case err != nil && !away:
		m.logger.Warn("inbox.mark", slog.Any("error", err))
	case err == nil && away:
		m.logger.Info("inbox.mark_again")
	}
}

// await waits until there is something to mark and others had time to join. It
// reports whether the markBuffer stops.
func (m *markBuffer) await() bool {
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

// mark writes the oldest batch. Where that fails the batch waits on.
func (m *markBuffer) mark() error {
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
		m.trim()
		m.mu.Unlock()
	}
	return err
}
