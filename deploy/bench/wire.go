package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mailroom/shared/signing"
)

// wireTimeout is how long one answer may take.
const wireTimeout = time.Minute

// requests returns whole signed requests, as bytes, made beforehand because generator and
// servers share the machine. With bad the signature is not one of the secret.
func (s *sender) requests(bodies [][]byte, bad bool) ([][]byte, error) {
	target, err := url.Parse(s.url)
	if err != nil {
		return nil, err
	}
	secret := s.secret
	if bad {
		secret += "?"
	}

	out := make([][]byte, len(bodies))
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	for i, body := range bodies {
		out[i] = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: %s\r\n%s: %s\r\n\r\n%s",
			target.Path, target.Host, len(body), signing.TimestampHeader, stamp,
			signing.SignatureHeader, signing.TimestampHMAC(secret, stamp, body), body)
	}
	return out, nil
}

// wire sends requests over so many connections, on each the next one after its answer, and
// requires that every answer has the status.
func (s *sender) wire(ctx context.Context, connections int, requests [][]byte, status int) (acks, error) {
	target, err := url.Parse(s.url)
	if err != nil {
		return acks{}, err
	}
	conns := make([]net.Conn, connections)
	for i := range conns {
		if conns[i], err = (&net.Dialer{}).DialContext(ctx, "tcp", target.Host); err != nil {
			return acks{}, fmt.Errorf("connect to the ingress: %w", err)
		}
		defer func() { _ = conns[i].Close() }()
	}

	took := make([]time.Duration, len(requests))
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	began := time.Now()
	for _, conn := range conns {
		wg.Go(func() {
			answers := bufio.NewReader(conn)
			for i := next.Add(1) - 1; i < int64(len(requests)) && failed.Load() == nil; i = next.Add(1) - 1 {
				sent := time.Now()
				if err := exchange(conn, answers, requests[i], status); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				took[i] = time.Since(sent)
			}
		})
	}
	wg.Wait()
	wall := time.Since(began)

	if err := failed.Load(); err != nil {
		return acks{}, *err
	}
	return summarise(took, wall), nil
}

// exchange sends one request and reads its answer, which has a Content-Length.
func exchange(conn net.Conn, answers *bufio.Reader, request []byte, status int) error {
	if err := conn.SetDeadline(time.Now().Add(wireTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(request); err != nil {
		return fmt.Errorf("post: %w", err)
	}
	line, err := answers.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	if len(line) < 12 || string(line[9:12]) != strconv.Itoa(status) {
		return fmt.Errorf("the ingress answers %q in place of %d", bytes.TrimSpace(line), status)
	}

	length := -1
	for {
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("post: %w", err)
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("the answer has no Content-Length")
	}
	_, err = io.CopyN(io.Discard, answers, int64(length))
	return err
}
