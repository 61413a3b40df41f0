package inspection

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// tailLen is the number of bytes at the end of a zip that identify it: the record that
// ends its directory and the longest comment (APPNOTE 6.3.10 §4.3.16).
const tailLen = 64<<10 + 22

// leaf passes a file that is no archive by its beginning to the visitor, and then
// searches it for content that hides in it.
func (w *walker) leaf(r io.Reader, as label, depth int) error {
	keep := &keeper{room: w.limits.Nested - w.nested}
	t := &tap{r: io.TeeReader(r, keep)}
	err := w.visit(t)
	switch {
	case t.err != nil:
		return t.err
	case err != nil:
		return visitError{err: err}
	}

	// Read to the end: the checksum of the archive is there.
	if _, err = io.Copy(io.Discard, t); err != nil {
		return fmt.Errorf("read a file: %w", err)
	}
	if keep.cut {
		if as.message(keep.head) || bytes.Contains(keep.buf, []byte("PK\x05\x06")) {
			return w.tooLarge()
		}
		return nil
	}

	defer w.hold(len(keep.buf))()
	return w.inside(keep.buf, as, depth)
}

// inside searches content that is no archive by its beginning for a zip at its end and
// for the parts of a message.
func (w *walker) inside(content []byte, as label, depth int) error {
	if w.zipBehind(content) {
		if err := w.layer(depth + 1); err != nil {
			return err
		}
		if err := w.zip(content, depth+1); err != nil {
			return err
		}
	}
	if as.message(content) {
		return w.message(content, depth+1)
	}
	return nil
}

// zipBehind reports whether content ends in a zip that is not empty.
func (w *walker) zipBehind(content []byte) bool {
	if !bytes.Contains(content[max(0, len(content)-tailLen):], []byte("PK\x05\x06")) {
		return false
	}
	// As in zip: the reader allocates memory for every entry.
	if bytes.Count(content, []byte("PK\x01\x02")) > w.limits.Entries {
		return true
	}
	zr, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return false
	}
	return len(zr.File) > 0
}

// keeper keeps what is written while it fits into room; beyond that, the beginning and
// at least the last tailLen bytes.
type keeper struct {
	room int64
	buf  []byte
	head []byte
	cut  bool
}

// Write always accepts all of p.
func (k *keeper) Write(p []byte) (int, error) {
	k.buf = append(k.buf, p...)
	if !k.cut && int64(len(k.buf)) > k.room {
		k.cut = true
		k.head = bytes.Clone(k.buf[:min(len(k.buf), headLen)])
	}
	if k.cut && len(k.buf) > 4*tailLen {
		k.buf = bytes.Clone(k.buf[len(k.buf)-tailLen:])
	}
	return len(p), nil
}

// tap records the error that ended reading, so that a visitor's error is not taken for
// the reader's.
type tap struct {
	r   io.Reader
	err error
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err //nolint:wrapcheck // io.EOF must stay io.EOF
}
