package inspection

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
)

// outcome is the result of walking an archive; for other content it is empty.
type outcome struct {
	limit     string // the limit that ended the walk, as the end of a sentence
	damaged   bool   // it ended because the archive cannot be read
	encrypted bool   // some of it is encrypted
	unknown   bool   // some of a zip is packed by an unknown method
	opaque    bool   // some of it is an archive of a format that only clamd unpacks
	closed    bool   // some of it is an archive of a format that neither clamd nor this package unpacks
	malformed bool   // some of it is a message that cannot be parsed

	inner [][]byte // the parts of messages, which a scanner may not find by itself
}

// visitError wraps an error that a visitor returned.
type visitError struct{ err error }

func (e visitError) Error() string { return e.err.Error() }

// walk unpacks content, which may be anything, and calls visit with every file in it
// that is no archive itself; visit need not read to the end. The cost is added to
// used. The error is visit's own or the context's; faults of the content are in the
// outcome.
func (l Limits) walk(ctx context.Context, content []byte, as label, used *spent, visit func(io.Reader) error) (outcome, error) {
	w := &walker{usage: usage{ctx: ctx, limits: l.withDefaults(), packed: int64(len(content)), used: used}, visit: visit}
	err := w.whole(content, as, 0)
	var limit limitError
	var own visitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return w.met, fmt.Errorf("unpack: %w", ctx.Err())
	case errors.As(err, &own):
		return w.met, own.err
	case errors.As(err, &limit):
		w.met.limit = string(limit)
	default:
		w.met.damaged = true
	}
	return w.met, nil
}

// walker walks one attachment.
type walker struct {
	usage

	visit func(io.Reader) error
	met   outcome
}

// whole walks content in memory that lies inside depth archives.
func (w *walker) whole(content []byte, as label, depth int) error {
	switch kind := sniff(content[:min(len(content), sniffLen)]); kind {
	case noArchive, opaqueArchive, closedArchive:
		w.recordKind(kind)
		if err := w.visit(bytes.NewReader(content)); err != nil {
			return visitError{err: err}
		}
		return w.inside(content, as, depth)
	case zipArchive:
		if err := w.layer(depth + 1); err != nil {
			return err
		}
		return w.zip(content, depth+1)
	default:
		return w.file(bytes.NewReader(content), as, depth)
	}
}

// file walks one stream that lies inside depth archives.
func (w *walker) file(r io.Reader, as label, depth int) error {
	br := bufio.NewReaderSize(r, 4096)
	head, err := br.Peek(sniffLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("look at a file: %w", err)
	}

	kind := sniff(head)
	switch kind {
	case noArchive, opaqueArchive, closedArchive:
		w.recordKind(kind)
		return w.leaf(br, as, depth)
	}

	depth++
	if err := w.layer(depth); err != nil {
		return err
	}

	switch kind {
	case zipArchive:
		room := w.limits.Nested - w.nested
		content, err := io.ReadAll(io.LimitReader(br, room+1))
		if err != nil {
			return fmt.Errorf("read nested zip: %w", err)
		}
		if int64(len(content)) > room {
			return w.tooLarge()
		}
		defer w.hold(len(content))()
		return w.zip(content, depth)
	case tarArchive:
		return w.tar(br, depth)
	case gzipStream:
		zr, err := gzip.NewReader(br)
		if err != nil {
			return fmt.Errorf("open gzip: %w", err)
		}
		return w.single(zr, depth)
	default:
		return w.single(bzip2.NewReader(br), depth)
	}
}

// recordKind records in the outcome an archive that is not unpacked here.
func (w *walker) recordKind(k kind) {
	w.met.opaque = w.met.opaque || k == opaqueArchive
	w.met.closed = w.met.closed || k == closedArchive
}

// single is a compressed stream of one file.
func (w *walker) single(r io.Reader, depth int) error {
	if err := w.entry(); err != nil {
		return err
	}
	return w.file(&meter{u: &w.usage, r: r}, label{}, depth)
}

func (w *walker) tar(r io.Reader, depth int) error {
	tr := tar.NewReader(r)
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return w.leaf(r, label{}, depth) // more content may follow the end
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return fmt.Errorf("read tar: %w", err)
		}
		if err := w.entry(); err != nil {
			return err
		}
		// Metered although it is not compressed: a sparse file unpacks to more than its size.
		if err := w.file(&meter{u: &w.usage, r: tr}, label{name: header.Name}, depth); err != nil {
			return err
		}
	}
}

// zip walks a zip in memory that is the depth-th layer.
func (w *walker) zip(content []byte, depth int) error {
	// The reader below allocates memory for every entry of the directory before it
	// returns the first. Signature of an entry: APPNOTE 6.3.10 §4.3.12.
	if bytes.Count(content, []byte("PK\x01\x02")) > w.limits.Entries {
		return w.tooMany()
	}
	zr, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("open zip: %w", err)
	}
	for _, f := range zr.File {
		if err := w.entry(); err != nil {
			return err
		}
		if err := w.zipped(f, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) zipped(f *zip.File, depth int) error {
	const encrypted = 0x1 // general purpose bit 0, APPNOTE 6.3.10 §4.4.4
	if f.Flags&encrypted != 0 {
		w.met.encrypted = true
		return nil
	}
	if f.FileInfo().IsDir() && f.UncompressedSize64 == 0 {
		return nil
	}
	r, err := f.Open()
	if errors.Is(err, zip.ErrAlgorithm) {
		w.met.unknown = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("open file of zip: %w", err)
	}
	defer func() { _ = r.Close() }() // reads from memory
	return w.file(&meter{u: &w.usage, r: r}, label{name: f.Name}, depth)
}
