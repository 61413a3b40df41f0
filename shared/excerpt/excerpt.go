package excerpt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// Limits bound what is read, in bytes. A text longer than Text is cut there, at the end
// of a character; a mail that still has Total bytes or more then cannot be read.
type Limits struct {
	Text  int
	Total int64
}

// Message reads a parsed mail as the store step wrote it. It fails with
// fault.BodyTooLarge if the cut mail exceeds l.Total.
func Message(r io.Reader, l Limits) (*mail.Message, error) {
	short := &io.LimitedReader{R: &cutter{in: bufio.NewReaderSize(r, 32<<10), limit: l.Text}, N: l.Total}
	var message mail.Message
	err := json.NewDecoder(short).Decode(&message)
	switch {
	case err == nil:
		return &message, nil
	case short.N <= 0:
		return nil, fault.Newf(fault.BodyTooLarge, "the headers of this email are longer than the limit of %d bytes", l.Total)
	}
	return nil, fmt.Errorf("decode message: %w", err)
}

// cutter copies JSON and cuts every string to limit bytes of text, at the end of a
// character.
type cutter struct {
	in    *bufio.Reader
	limit int
	err   error

	inside bool   // a string
	size   int    // bytes of its text so far
	over   bool   // the string is at its limit: the rest is dropped
	ready  []byte // to be returned by Read; part of in's buffer, or escape
	escape [6]byte
}

// Read implements io.Reader.
func (c *cutter) Read(p []byte) (int, error) {
	for len(c.ready) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.err = c.next()
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// next reads one run of bytes of the same kind, or one escape, into ready unless it is
// cut off.
func (c *cutter) next() error {
	if _, err := c.in.Peek(1); err != nil {
		return err //nolint:wrapcheck // io.EOF stays bare, others are the object store's faults
	}

	run, _ := c.in.Peek(c.in.Buffered())
	if !c.inside {
		if end := bytes.IndexByte(run, '"'); end >= 0 {
			run, c.inside, c.size, c.over = run[:end+1], true, 0, false
		}
		return c.pass(run)
	}

	end := bytes.IndexByte(run, '"')
	if escape := bytes.IndexByte(run[:max(end, 0)], '\\'); escape >= 0 {
		end = escape
	} else if end < 0 {
		end = bytes.IndexByte(run, '\\')
	}

	switch {
	case end == 0 && run[0] == '"':
		c.inside = false
		return c.pass(run[:1])
	case end == 0:
		return c.readEscape()
	case end > 0:
		run = run[:end]
	}

	if c.over {
		_, err := c.in.Discard(len(run))
		return err //nolint:wrapcheck // it is buffered
	}

	// A character that begins before the limit is kept whole; invalid UTF-8 may continue
	// for ever.
	keep := min(len(run), max(c.limit-c.size, 0))
	for rest := utf8.UTFMax - 1; rest > 0 && keep < len(run) && !utf8.RuneStart(run[keep]); rest-- {
		keep++
	}

	c.over = keep < len(run)
	if keep == 0 {
		return nil
	}

	c.size += keep
	return c.pass(run[:keep])
}

// pass consumes run, which is buffered, from the input. It stays valid until the next
// read.
func (c *cutter) pass(run []byte) error {
	c.ready = run
	_, err := c.in.Discard(len(run))
	return err //nolint:wrapcheck // it is buffered
}

// readEscape reads an escape, two bytes or, of \u, six.
func (c *cutter) readEscape() error {
	length, text := 2, 1
	if _, err := io.ReadFull(c.in, c.escape[:2]); err != nil {
		return err //nolint:wrapcheck // as in next; the decoder says that the text ends too early
	}
	if c.escape[1] == 'u' {
		length, text = 6, 3
		if _, err := io.ReadFull(c.in, c.escape[2:]); err != nil {
			return err //nolint:wrapcheck // the same
		}
	}
	c.over = c.over || c.size >= c.limit
	if !c.over {
		c.size += text
		c.ready = c.escape[:length]
	}
	return nil
}
