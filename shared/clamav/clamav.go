package clamav

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// Bounds of the protocol as this client speaks it.
const (
	chunkSize    = 64 << 10
	maxReply     = 4 << 10
	maxSignature = 200
)

// Config has the address of clamd and the limits of its use.
type Config struct {
	Address  string        // host:port, or the path of its socket
	Timeout  time.Duration // one scan at most, from the dial to the answer; default 2m
	Parallel int           // concurrent scans; default 8
}

// Client scans with clamd. It is safe for concurrent use and keeps no connection open
// between scans.
type Client struct {
	network, address string
	timeout          time.Duration
	slots            chan struct{}
	dialer           net.Dialer
	now              func() time.Time
	version          versions
}

// New checks cfg; it does not call clamd.
func New(cfg Config) (*Client, error) {
	c := &Client{network: "tcp", address: cfg.Address, timeout: cfg.Timeout, now: time.Now}
	switch {
	case cfg.Address == "":
		return nil, errors.New("clamav: the address is empty")
	case strings.Contains(cfg.Address, "/"):
		c.network = "unix"
	default:
		if _, _, err := net.SplitHostPort(cfg.Address); err != nil {
			return nil, errors.New("clamav: the address is neither host:port nor a path")
		}
	}

	if cfg.Timeout < 0 || cfg.Parallel < 0 {
		return nil, errors.New("clamav: timeout and parallel must not be negative")
	}
	if c.timeout == 0 {
		c.timeout = 2 * time.Minute
	}

	parallel := cfg.Parallel
	if parallel == 0 {
		parallel = 8
	}

	c.slots = make(chan struct{}, parallel)
	return c, nil
}

// Ready pings clamd.
func (c *Client) Ready(ctx context.Context) error {
	answer, err := c.ask(ctx, "PING")
	if err != nil {
		return err
	}
	if answer != "PONG" {
		return unavailable(errors.New("unknown answer to PING"))
	}
	return nil
}

// Version returns clamd's answer to VERSION: its version and that of its signatures.
func (c *Client) Version(ctx context.Context) (string, error) {
	answer, err := c.ask(ctx, "VERSION")
	if err != nil {
		return "", err
	}
	return printable(answer), nil
}

// errNoPlace means that all Config.Parallel scans were in use until the deadline.
var errNoPlace = errors.New("no free place before the deadline")

// Scan sends r to clamd and returns its verdict; the string names what was found or
// why clamd did not scan. The error is fault.ScannerUnavailable, r's own if r cannot
// be read, or the context's if it was cancelled; with an error there is no verdict.
// While Config.Parallel scans run, it waits for a free place.
func (c *Client) Scan(ctx context.Context, r io.Reader) (mail.Verdict, string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return "", "", failed(ctx, errNoPlace)
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return "", "", failed(ctx, err)
	}
	defer conn.close()

	// clamd may answer early and close the connection. Reading from the start keeps
	// its answer when the next write fails.
	answers := make(chan answer, 1)
	go func() { answers <- readAnswer(conn) }()

	sent := stream(conn, r)
	var source sourceError
	if errors.As(sent, &source) {
		conn.close() // no end of stream: clamd must not judge a part
		<-answers
		return "", "", fmt.Errorf("read what to scan: %w", source.err)
	}
	got := <-answers
	if got.err != nil {
		return "", "", failed(ctx, errors.Join(sent, got.err))
	}
	verdict, signature, err := classify(got.text, sent == nil)
	if err != nil {
		return "", "", failed(ctx, err)
	}
	return verdict, signature, nil
}

// classify translates an answer to INSTREAM; whole tells whether clamd received all.
func classify(text string, whole bool) (mail.Verdict, string, error) {
	if strings.HasSuffix(strings.TrimSuffix(text, " ERROR"), "size limit exceeded.") ||
		strings.HasSuffix(strings.TrimSuffix(text, " ERROR"), "size limit exceeded") {
		return mail.Unscannable, mail.TooLargeToScan, nil
	}

	said, ok := strings.CutPrefix(text, "stream: ")
	if !ok {
		return "", "", errors.New("unknown answer to INSTREAM")
	}
	if said == "OK" {
		if !whole {
			return "", "", errors.New("clamd said OK to a part of the stream")
		}
		return mail.Clean, "", nil
	}

	name, ok := strings.CutSuffix(said, " FOUND")
	if name = printable(name); !ok || name == "" {
		return "", "", errors.New("clamd answered with an error")
	}

	for _, prefix := range []string{limitAlert, "Heuristics.Encrypted"} {
		if strings.HasPrefix(name, prefix) {
			return mail.Unscannable, name, nil
		}
	}

	return mail.Infected, name, nil
}

// sourceError is a failure to read the content to scan, not one of clamd.
type sourceError struct{ err error }

func (e sourceError) Error() string { return e.err.Error() }

// stream sends r in chunks, each preceded by its length in four bytes, big-endian; a
// length of zero ends the stream (clamd(8), INSTREAM).
func stream(w io.Writer, r io.Reader) error {
	const lengthSize = 4
	if _, err := w.Write([]byte("zINSTREAM\x00")); err != nil {
		return fmt.Errorf("send command: %w", err)
	}

	buf := make([]byte, lengthSize+chunkSize)
	for {
		n, err := io.ReadFull(r, buf[lengthSize:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return sourceError{err: err}
		}
		end := err != nil
		binary.BigEndian.PutUint32(buf, uint32(n)) //nolint:gosec // n <= chunkSize
		if n > 0 {
			if _, err := w.Write(buf[:lengthSize+n]); err != nil {
				return fmt.Errorf("send chunk: %w", err)
			}
		}
		if end {
			if _, err := w.Write(make([]byte, lengthSize)); err != nil {
				return fmt.Errorf("send end: %w", err)
			}
			return nil
		}
	}
}

// answer is clamd's answer up to the NUL, or the reason that there is none.
type answer struct {
	text string
	err  error
}

func readAnswer(r io.Reader) answer {
	buf := make([]byte, 0, maxReply)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if text, _, ok := bytes.Cut(buf, []byte{0}); ok {
			return answer{text: string(text)}
		}
		switch {
		case err != nil:
			return answer{err: fmt.Errorf("read answer: %w", err)}
		case len(buf) == cap(buf):
			return answer{err: errors.New("the answer is too long")}
		}
	}
}

// ask sends a command without arguments.
func (c *Client) ask(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return "", failed(ctx, err)
	}
	defer conn.close()
	if _, err := conn.Write([]byte("z" + command + "\x00")); err != nil {
		return "", failed(ctx, fmt.Errorf("send command: %w", err))
	}
	got := readAnswer(conn)
	if got.err != nil {
		return "", failed(ctx, got.err)
	}
	return got.text, nil
}

// connection ends when its context does.
type connection struct {
	net.Conn
	unwatch func() bool
}

func (c *Client) dial(ctx context.Context) (*connection, error) {
	conn, err := c.dialer.DialContext(ctx, c.network, c.address)
	if err != nil {
		return nil, fmt.Errorf("dial clamd: %w", err)
	}
	unwatch := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return &connection{Conn: conn, unwatch: unwatch}, nil
}

func (c *connection) close() {
	c.unwatch()
	_ = c.Close() // the answer was read: an error changes nothing
}

// failed turns an error of a call into the context's own or scanner_unavailable.
func failed(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("scan: %w", ctx.Err())
	}
	return unavailable(err)
}

func unavailable(err error) error {
	return fault.Wrap(fault.ScannerUnavailable, "the virus scanner is unavailable; the email waits for it", err)
}

// printable keeps the characters of signature names and bounds the length.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxSignature)]
}
