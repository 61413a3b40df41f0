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

// Limits bounds the cost of unpacking one attachment. A zero field means its default.
type Limits struct {
	Depth    int   // layers of archives inside archives; a .tar.gz has two; default 6
	Entries  int   // files and folders of all layers, all attachments of a mail together; default 10,000
	Ratio    int64 // unpacked to packed bytes, checked from ratioFrom on; default 200
	Unpacked int64 // bytes of all layers, all attachments of a mail together; default 256 MiB
	Nested   int64 // bytes of zips and messages inside others in memory at a time; default 32 MiB
}

// ratioFrom is the number of unpacked bytes from which the ratio is checked: small
// files of zeros are no attack.
const ratioFrom = 8 << 20

func (l Limits) withDefaults() Limits {
	if l.Depth <= 0 {
		l.Depth = 6
	}
	if l.Entries <= 0 {
		l.Entries = 10_000
	}
	if l.Ratio <= 0 {
		l.Ratio = 200
	}
	if l.Unpacked <= 0 {
		l.Unpacked = 256 << 20
	}
	if l.Nested <= 0 {
		l.Nested = 32 << 20
	}
	return l
}

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

// spent counts what the walks of one mail have used of its limits.
type spent struct {
	entries  int
	unpacked int64
}

// limitError ends a walk at a limit.
type limitError string

func (e limitError) Error() string { return string(e) }

// visitError wraps an error that a visitor returned.
type visitError struct{ err error }

func (e visitError) Error() string { return e.err.Error() }

// walk unpacks content, which may be anything, and calls visit with every file in it
// that is no archive itself; visit need not read to the end. The cost is added to
// used. The error is visit's own or the context's; faults of the content are in the
// outcome.
func (l Limits) walk(ctx context.Context, content []byte, as label, used *spent, visit func(io.Reader) error) (outcome, error) {
	w := &walker{ctx: ctx, limits: l.withDefaults(), packed: int64(len(content)), used: used, visit: visit}
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

// walker is one walk. Its counters cover all layers.
type walker struct {
	ctx      context.Context // the walker lives as long as one call
	limits   Limits
	visit    func(io.Reader) error
	packed   int64
	unpacked int64  // of this walk
	nested   int64  // bytes held in memory now
	used     *spent // of all walks of the mail
	met      outcome
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

// layer checks depth against the limit of layers.
func (w *walker) layer(depth int) error {
	if depth > w.limits.Depth {
		return limitError(fmt.Sprintf("nests archives or messages more than %d deep", w.limits.Depth))
	}
	return nil
}

// recordKind records in the outcome an archive that is not unpacked here.
func (w *walker) recordKind(k kind) {
	w.met.opaque = w.met.opaque || k == opaqueArchive
	w.met.closed = w.met.closed || k == closedArchive
}

// hold counts n bytes as in memory until the returned function is called.
func (w *walker) hold(n int) func() {
	w.nested += int64(n)
	return func() { w.nested -= int64(n) }
}

func (w *walker) tooLarge() error {
	return limitError(fmt.Sprintf("holds zips or messages of more than %d bytes", w.limits.Nested))
}

// single is a compressed stream of one file.
func (w *walker) single(r io.Reader, depth int) error {
	if err := w.entry(); err != nil {
		return err
	}
	return w.file(&meter{w: w, r: r}, label{}, depth)
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
		if err := w.file(&meter{w: w, r: tr}, label{name: header.Name}, depth); err != nil {
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
	return w.file(&meter{w: w, r: r}, label{name: f.Name}, depth)
}

// entry counts one file or folder.
func (w *walker) entry() error {
	w.used.entries++
	if w.used.entries > w.limits.Entries {
		return w.tooMany()
	}
	return w.ctx.Err()
}

func (w *walker) tooMany() error {
	return limitError(fmt.Sprintf("holds more than %d files", w.limits.Entries))
}

// count adds n unpacked bytes to those of the mail.
func (w *walker) count(n int) error {
	w.unpacked += int64(n)
	w.used.unpacked += int64(n)
	switch {
	case w.used.unpacked <= w.limits.Unpacked:
		return nil
	case w.unpacked <= w.limits.Unpacked && w.used.unpacked > w.unpacked:
		return limitError(fmt.Sprintf("unpacks, with the attachments before it, to more than %d bytes", w.limits.Unpacked))
	}
	return limitError(fmt.Sprintf("unpacks to more than %d bytes", w.limits.Unpacked))
}

// meter counts unpacked bytes and ends reading at the limits.
type meter struct {
	w *walker
	r io.Reader
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	w := m.w
	if err := w.count(n); err != nil {
		return 0, err
	}
	if w.unpacked > ratioFrom && w.unpacked/max(w.packed, 1) > w.limits.Ratio {
		return 0, limitError(fmt.Sprintf("unpacks to more than %d times its size", w.limits.Ratio))
	}
	return n, err //nolint:wrapcheck // io.EOF must stay io.EOF
}
