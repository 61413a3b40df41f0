package webhook

import (
	"bufio"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"mailroom/shared/fault"
)

// Content codings (RFC 9110 §8.4.1) that a source can allow.
const (
	codingGzip    = "gzip"
	codingDeflate = "deflate"
)

// contentCoding returns the one coding that a body has, "" for none. It refuses a coding
// that is not in allowed, and one coding over another.
func contentCoding(h http.Header, allowed []string) (string, error) {
	found := ""
	for _, line := range h.Values("Content-Encoding") {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if name == "x-gzip" { // RFC 9110 §8.4.1.3
				name = codingGzip
			}
			switch {
			case name == "identity" || name == "":
			case found != "":
				return "", fault.New(fault.EncodingRefused, "a body that is encoded twice is not accepted")
			case !slices.Contains(allowed, name):
				return "", fault.New(fault.EncodingRefused, "a body in this encoding is not accepted")
			default:
				found = name
			}
		}
	}
	return found, nil
}

// decoded returns a reader of what r holds in coding, gzip or deflate (RFC 9110 §8.4.1.2: the
// zlib format). It belongs behind the signature, and the caller bounds what it
// reads: a small body can decode to any size. Whatever does not decode to its very
// end, with the right checksum and nothing behind it, is fault.EncodingRefused;
// what r itself fails with is passed on. Close does not close r.
func decoded(r io.Reader, coding string) (io.ReadCloser, error) {
	d := &decoder{encoded: &tracked{r: r}}
	d.in = bufio.NewReader(d.encoded)
	var err error
	switch coding {
	case codingGzip:
		d.out, err = gzip.NewReader(d.in) // several members follow each other (RFC 1952 §2.2)
	case codingDeflate:
		d.out, err = zlib.NewReader(d.in)
	default:
		return nil, fault.New(fault.EncodingRefused, "a body in this encoding is not accepted")
	}
	if err != nil {
		return nil, d.failed(err)
	}
	return d, nil
}

// decoder reads one coding to the end of its input.
type decoder struct {
	encoded *tracked
	in      *bufio.Reader // read byte by byte by the codings, and so no further than their end
	out     io.ReadCloser
	err     error
}

// Read returns decoded bytes; io.EOF means that everything was in order.
func (d *decoder) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.out.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		d.err = io.EOF
		if _, err := d.in.ReadByte(); err == nil {
			d.err = d.failed(errors.New("bytes behind the end"))
		} else if !errors.Is(err, io.EOF) {
			d.err = d.failed(err)
		}
	default:
		d.err = d.failed(err)
	}
	return n, d.err
}

// Close ends the decoding.
func (d *decoder) Close() error {
	if err := d.out.Close(); err != nil {
		return fmt.Errorf("end decoding: %w", err)
	}
	return nil
}

// failed tells a failure of the coding from one of the reader below it.
func (d *decoder) failed(err error) error {
	if d.encoded.err != nil {
		return d.encoded.err
	}
	return fault.Wrap(fault.EncodingRefused, "the body is not what its content encoding says", err)
}

// tracked remembers how a reader failed; its end is no failure.
type tracked struct {
	r   io.Reader
	err error
}

func (t *tracked) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err //nolint:wrapcheck // a reader gives the errors of what it reads
}
