package webhook

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sync/semaphore"

	"mailroom/ingress/guard"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

// Where a body is kept while it is looked at: up to inlineMax in memory of its own,
// up to memoryMax in one of memoryBuffers shared buffers, else in one of spoolFiles
// temporary files. The crowd shares buffers and files out by address; strangerBodies
// is what one stranger may hold of each.
const (
	inlineMax     = postgres.MaxInline
	memoryMax     = 1 << 20
	memoryBuffers = 24
	memoryCopies  = 24
	spoolFiles    = 64

	strangerBodies = 4

	chunkSize = 32 << 10
)

// bodyReader reads request bodies. What they hold is counted by the visit that each
// belongs to.
type bodyReader struct {
	dir    string
	copies *semaphore.Weighted // bodies that are copied because the object store is unavailable
	large  sync.Pool           // *[]byte of memoryMax
	chunks sync.Pool           // *[]byte of chunkSize
}

func newBodyReader(dir string) *bodyReader {
	return &bodyReader{
		dir:    dir,
		copies: semaphore.NewWeighted(memoryCopies),
		large:  sync.Pool{New: func() any { b := make([]byte, memoryMax); return &b }},
		chunks: sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }},
	}
}

// shares says how the requests of the ingress share what it has. spool is what all
// spool files may hold together, largest the largest body that a source takes: a
// stranger can send one of that size even where half of the spool is less.
func shares(spool, largest int64) map[guard.Pool]guard.Share {
	bytes := guard.Half(spool, max(spool/8, largest))
	bytes.Strangers = max(bytes.Strangers, largest)
	connections := guard.Half(guard.MaxConnections, guard.MaxPerStranger)
	connections.Known = guard.MaxPerAddress
	return map[guard.Pool]guard.Share{
		guard.Places:      guard.Half(maxInFlight, guard.MaxStrangers),
		guard.Buffers:     guard.Half(memoryBuffers, strangerBodies),
		guard.Files:       guard.Half(spoolFiles, strangerBodies),
		guard.Spool:       bytes,
		guard.Connections: connections,
	}
}

// body is one request body, read to its end. Close releases what it holds.
type body struct {
	in     *bodyReader
	visit  *guard.Visit
	size   int64
	sum    [sha256.Size]byte
	inline []byte  // the whole body up to inlineMax; never reused, so that others may keep it
	buffer *[]byte // the whole body up to memoryMax
	file   *os.File
	onDisk int64 // bytes that file takes of the spool
	copied bool  // takes one of the reader's copies
	torn   bool  // an abandoned upload may still read buffer: it must not be used again
}

// read takes a body of at most limit bytes for visit and writes every byte to
// verifier as it comes. declared is the Content-Length, -1 where there is none; it
// takes no room, because a sender that declares has sent nothing yet.
func (in *bodyReader) read(visit *guard.Visit, r io.Reader, declared, limit int64, verifier io.Writer) (_ *body, err error) {
	if declared > limit {
		return nil, tooLarge(limit)
	}

	b := &body{in: in, visit: visit}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	chunk := in.chunks.Get().(*[]byte)
	defer in.chunks.Put(chunk)
	hash := sha256.New()

	for {
		n, readErr := r.Read(*chunk)
		piece := (*chunk)[:n]
		if b.size+int64(n) > limit {
			return nil, tooLarge(limit)
		}
		hash.Write(piece)
		if _, err := verifier.Write(piece); err != nil {
			return nil, fmt.Errorf("feed verifier: %w", err)
		}
		if err := b.append(piece); err != nil {
			return nil, err
		}

		if errors.Is(readErr, io.EOF) {
			hash.Sum(b.sum[:0])
			return b, nil
		}
		if f := (*fault.Error)(nil); errors.As(readErr, &f) {
			return nil, f
		}
		if readErr != nil {
			return nil, fault.Wrap(fault.BodyIncomplete, "the body ended before it was complete", readErr)
		}
	}
}

// decode returns an authentic body without its content encoding. The decoded bytes are
// bounded like any body.
func (in *bodyReader) decode(visit *guard.Visit, b *body, encoding string, limit int64) (*body, error) {
	plain, err := decoded(b.open(), encoding)
	if err != nil {
		return nil, err
	}
	defer func() { _ = plain.Close() }()
	return in.read(visit, plain, -1, limit, io.Discard)
}

func tooLarge(limit int64) error {
	return fault.Newf(fault.BodyTooLarge, "the body is larger than the %d bytes that are accepted here", limit)
}

// append keeps one piece, moving the body to where it has room.
func (b *body) append(piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	total := b.size + int64(len(piece))
	if err := b.makeRoom(total); err != nil {
		return err
	}
	switch {
	case b.file != nil:
		if err := b.write(piece); err != nil {
			return err
		}
	case b.buffer != nil:
		copy((*b.buffer)[b.size:], piece)
	default:
		b.inline = append(b.inline, piece...)
	}
	b.size = total
	return nil
}

// makeRoom moves the body to a place that holds total bytes. A body that finds no
// shared buffer free goes to a file.
func (b *body) makeRoom(total int64) error {
	if total <= inlineMax || b.file != nil || (b.buffer != nil && total <= memoryMax) {
		return nil
	}
	if total <= memoryMax && b.visit.Acquire(guard.Buffers, 1) {
		b.buffer = b.in.large.Get().(*[]byte)
		copy(*b.buffer, b.inline)
		b.inline = nil
		return nil
	}
	return b.spool()
}

// spool moves the body to a temporary file that only this process can read and
// that has no name: whatever happens, it is gone when the process is.
func (b *body) spool() error {
	if !b.visit.Acquire(guard.Files, 1) {
		return fault.New(fault.Overloaded, "too many large bodies are being received at the moment")
	}
	file, err := os.CreateTemp(b.in.dir, "mailroom-body-*") // mode 0600
	if err != nil {
		b.visit.Release(guard.Files, 1)
		return spoolFault("create", err)
	}
	b.file = file

	if err := os.Remove(file.Name()); err != nil {
		return spoolFault("unlink", err)
	}
	kept := b.inline
	if b.buffer != nil {
		kept = (*b.buffer)[:b.size]
	}

	if err := b.write(kept); err != nil {
		return err
	}
	b.releaseBuffer()
	b.inline = nil
	return nil
}

// write adds to the file what the spool has room for.
func (b *body) write(piece []byte) error {
	if !b.visit.Acquire(guard.Spool, int64(len(piece))) {
		return spoolFault("write", errors.New("the spool files that this sender may use are at their bound"))
	}
	b.onDisk += int64(len(piece))
	if _, err := b.file.Write(piece); err != nil {
		return spoolFault("write", err)
	}
	return nil
}

// bytes returns a copy of a body of at most contract.MaxFallbackBody bytes, for the row of
// an event that the object store cannot take.
func (b *body) bytes() ([]byte, error) {
	if b.small() {
		return b.inline, nil
	}
	if !b.copied && !b.in.copies.TryAcquire(1) {
		return nil, fault.New(fault.Overloaded, "too many large events are being stored at the moment")
	}
	b.copied = true
	content := make([]byte, b.size)
	if _, err := io.ReadFull(b.open(), content); err != nil {
		return nil, spoolFault("read", err)
	}
	return content, nil
}

func spoolFault(doing string, err error) error {
	return fault.Wrap(fault.StorageUnavailable, "there is no room for a large body at the moment",
		fmt.Errorf("%s spool file: %w", doing, err))
}

// open returns a reader of the body from its beginning, which can be read until Close. It
// may be called again and again.
func (b *body) open() *io.SectionReader {
	var at io.ReaderAt
	switch {
	case b.file != nil:
		at = b.file
	case b.buffer != nil:
		at = bytes.NewReader((*b.buffer)[:b.size])
	default:
		at = bytes.NewReader(b.inline)
	}
	return io.NewSectionReader(at, 0, b.size)
}

// small reports whether the body belongs into the row itself.
func (b *body) small() bool { return b.buffer == nil && b.file == nil }

// Close releases buffer and file. inline stays valid.
func (b *body) Close() {
	b.releaseBuffer()
	if b.file != nil {
		_ = b.file.Close() // it has no name and nothing was promised about its content
		b.file = nil
		b.visit.Release(guard.Spool, b.onDisk)
		b.visit.Release(guard.Files, 1)
	}
	if b.copied {
		b.copied = false
		b.in.copies.Release(1)
	}
}

func (b *body) releaseBuffer() {
	if b.buffer == nil {
		return
	}
	if !b.torn {
		b.in.large.Put(b.buffer)
	}
	b.buffer = nil
	b.visit.Release(guard.Buffers, 1)
}
