package ingress

import (
	"context"
	"io"
	"time"
)

// Bounds of writing a large body to the object store.
const (
	// stallTimeout is how long the object store may take nothing of a body, or not
	// answer once it has all of it. A body that a row may hold gets no more than
	// that for its turn and its upload together.
	stallTimeout      = time.Second
	largeStallTimeout = 3 * time.Second // of a body that has no other place
	// uploadWait is how long a body that has no other place waits for its turn.
	uploadWait = 30 * time.Second
	// storeFailures in a row show that the object store is away.
	storeFailures = 2
)

// watched is a reader that pushes a deadline ahead of it.
type watched struct {
	*io.SectionReader
	timer *time.Timer
	limit time.Duration
}

// watch gives r again, and a context that ends when nobody reads from it for
// limit. stop must be called.
func watch(ctx context.Context, r *io.SectionReader, limit time.Duration) (context.Context, *watched, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	return ctx, &watched{SectionReader: r, timer: timer, limit: limit}, func() {
		timer.Stop()
		cancel(nil)
	}
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.limit)
	return w.SectionReader.Read(p) //nolint:wrapcheck // a reader gives the errors of what it reads
}

// ReadAt implements io.ReaderAt, which the upload of a large object uses.
func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	w.timer.Reset(w.limit)
	return w.SectionReader.ReadAt(p, off) //nolint:wrapcheck // a reader gives the errors of what it reads
}
