package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

const (
	defaultListen = "127.0.0.1:8090"
	defaultKeys   = 1_000_000
	stopWithin    = 3 * time.Second
)

// run serves until ctx ends.
func run(ctx context.Context, getenv func(string) string) error {
	c := Config{Secret: getenv("SINK_SECRET"), Bodies: getenv("SINK_BODIES") != "0", Keys: defaultKeys}
	if text := getenv("SINK_KEYS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return errors.New("SINK_KEYS must be a number above zero")
		}
		c.Keys = n
	}

	if name := getenv("SINK_FILE"); name != "" {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600) //nolint:gosec // G304: its user names it
		if err != nil {
			return fmt.Errorf("open SINK_FILE: %w", err)
		}
		defer func() { _ = file.Close() }()
		c.File = file
	}

	sink := New(c)
	if c.File != nil {
		if err := sink.ledger.restore(c.File); err != nil {
			return fmt.Errorf("read SINK_FILE: %w", err)
		}
	}

	listen := getenv("SINK_LISTEN")
	if listen == "" {
		listen = defaultListen
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	slog.Info("sink.listening", "address", listener.Addr().String())
	return serve(ctx, listener, sink)
}

// serve answers on listener until ctx ends, which also ends requests that hang.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	base, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
	}

	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}

	hangUp()
	stopping, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		return server.Close()
	}
	return nil
}
