package program

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
)

// freeAddress returns an address of loopback on which no process listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

func dial(t *testing.T, address string) error {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return err
}

// TestSocketStaysOpenBetweenTwoRuns: what connects after the first run has closed its
// listener is accepted by the second.
func TestSocketStaysOpenBetweenTwoRuns(t *testing.T) {
	t.Parallel()
	s, address := NewSockets(), freeAddress(t)
	first := s.Run()
	ln, err := first.Listen(t.Context(), address)
	require.NoError(t, err)
	_, err = first.Listen(t.Context(), address)
	require.ErrorContains(t, err, "address already in use")
	require.NoError(t, ln.Close())
	require.NoError(t, dial(t, address), "it waits in the queue")

	second := s.Run()
	ln, err = second.Listen(t.Context(), address)
	require.NoError(t, err)
	conn, err := ln.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	s.Retain(second)
	require.NoError(t, ln.Close())
	require.NoError(t, dial(t, address), "a run listens on it")
	s.Retain(s.Run())
	require.ErrorIs(t, dial(t, address), syscall.ECONNREFUSED, "no run listens on it")

	s.Close()
	_, err = s.Run().Listen(t.Context(), address)
	require.ErrorContains(t, err, "the process is ending")
}

func TestEachPortZeroIsItsOwn(t *testing.T) {
	t.Parallel()
	run := NewSockets().Run()
	for range 2 {
		ln, err := run.Listen(t.Context(), "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
	}
}

// TestSocketsAreHandedOver: the queue of the first process is the queue of the second, and
// the first is told once the second serves, not before.
func TestSocketsAreHandedOver(t *testing.T) {
	t.Parallel()
	path, address := filepath.Join(t.TempDir(), "handover"), freeAddress(t)
	first, second := NewSockets(), NewSockets()
	defer second.Close()
	before, err := first.TakeOver(t.Context(), path)
	require.NoError(t, err)
	require.Nil(t, before, "it is the first one")
	require.NoError(t, before.Replace())
	require.NoError(t, before.Close())

	ln, err := first.Run().Listen(t.Context(), address)
	require.NoError(t, err)
	ctx, replaced := context.WithCancelCause(t.Context())
	context.AfterFunc(ctx, func() { _ = ln.Close(); first.Close() })
	stop := errors.New("replaced")
	require.NoError(t, first.Offer(ctx, path, func() { replaced(stop) }, slog.New(slog.DiscardHandler)))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "others must not take the sockets")

	abandoned, err := NewSockets().TakeOver(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, abandoned.Close())
	before, err = second.TakeOver(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, ctx.Err(), "neither of them serves")

	next, err := second.Run().Listen(t.Context(), address)
	require.NoError(t, err)
	require.NoError(t, before.Replace())
	<-ctx.Done()
	require.ErrorIs(t, context.Cause(ctx), stop)
	require.NoError(t, dial(t, address))
	conn, err := next.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestMetricsNameThePortInUse(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	p := silent()
	p.Sockets, p.Env = NewSockets().Run(), config.Env{MetricsListen: ln.Addr().String()}
	err = p.ServeMetrics(t.Context(), nil)
	require.ErrorContains(t, err, "listen for metrics")
	require.ErrorContains(t, err, ln.Addr().String())
}
