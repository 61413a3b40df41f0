package accept

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"mailroom/ingress/breaker"
	"mailroom/shared/blob"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// StallTimeout is how long the object store may take nothing of a body, or not answer
// once it has all of it. A body that a row may hold gets no more than that for its turn
// and its upload together.
const StallTimeout = time.Second

// Bounds of writing a large body to the object store.
const (
	maxUploads        = 4
	largeStallTimeout = 3 * time.Second // of a body that has no other place
	// uploadWait is how long a body that has no other place waits for its turn.
	uploadWait = 30 * time.Second
	// storeFailures in a row show that the object store is unavailable.
	storeFailures = 2
)

// Bodies keeps bodies that are too large for a row. Writing the same key again
// with the same bytes is harmless.
type Bodies interface {
	Put(ctx context.Context, bucket blob.Bucket, key string, r io.Reader, size int64, contentType string) error
}

// Uploader writes bodies that are too large for a row to the object store, a few at a
// time, and stops trying for a while when the store is unavailable.
type Uploader struct {
	bodies  Bodies
	places  chan struct{}
	breaker *breaker.Breaker
}

// NewUploader returns an uploader that is ready to use.
func NewUploader(bodies Bodies, logger *slog.Logger) *Uploader {
	return &Uploader{
		bodies: bodies, places: make(chan struct{}, maxUploads),
		breaker: breaker.New(breaker.Config{Name: "blob", Failures: storeFailures, Pause: outagePause}, logger),
	}
}

// Upload writes a body under key, whether or not the sender of ctx still listens. It ends
// when the object store takes nothing for a while, however large the body is. An upload
// that failed may go on reading content for a moment.
func (u *Uploader) Upload(ctx context.Context, key string, content *io.SectionReader) error {
	patience, stall := uploadWait, largeStallTimeout
	ctx = context.WithoutCancel(ctx)
	if content.Size() <= contract.MaxFallbackBody { // there is another place for it
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, StallTimeout)
		defer cancel()
		patience, stall = StallTimeout, StallTimeout
	}

	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case u.places <- struct{}{}:
		defer func() { <-u.places }()
	case <-wait.Done():
		return fault.Wrap(fault.Overloaded, "too many large events are being stored at the moment", wait.Err())
	}

	done, err := u.breaker.Allow()
	if err != nil {
		return fault.Wrap(fault.StorageUnavailable, "the event could not be stored", err)
	}
	put := errors.New("it panicked")
	defer func() { done(put) }()

	stalled, feed, stop := watch(ctx, content, stall)
	defer stop()
	if put = u.bodies.Put(stalled, blob.Raw, key, feed, content.Size(), "application/json"); put != nil {
		return fault.Wrap(fault.StorageUnavailable, "the event could not be stored", put)
	}
	return nil
}

// watched is a reader that pushes a deadline ahead of it.
type watched struct {
	*io.SectionReader
	timer *time.Timer
	limit time.Duration
}

// watch returns a reader of r, and a context that ends when the reader is not read from for
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
