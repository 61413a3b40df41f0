package program

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/secret"
)

func silent() *Program {
	return &Program{Config: Config{Logger: slog.New(slog.DiscardHandler)}}
}

func TestNewNamesKeysThatCannotSeal(t *testing.T) {
	t.Parallel()
	secrets := secret.Open(os.Getenv, slog.New(slog.DiscardHandler))
	var log bytes.Buffer
	c := Config{File: &config.File{}, Secrets: secrets, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	p, err := New(c)
	require.NoError(t, err)
	require.True(t, p.Keys.Empty())
	require.Contains(t, log.String(), "encryption.off")

	c.File = &config.File{Encryption: config.Encryption{Keys: []config.EncryptionKey{{ID: "k", Key: config.NewSecret("short")}}}}
	_, err = New(c)
	require.ErrorContains(t, err, "configuration: encryption: ")
}

func TestCloseRunsEveryCloserInReverse(t *testing.T) {
	t.Parallel()
	p := silent()
	var order []string
	for _, name := range []string{"database", "client", "listener"} {
		p.OnClose(func(ctx context.Context) error {
			_, bounded := ctx.Deadline()
			require.True(t, bounded)
			order = append(order, name)
			return errors.New(name)
		})
	}
	require.EqualError(t, p.Close(), "listener\nclient\ndatabase")
	require.Equal(t, []string{"listener", "client", "database"}, order)
	require.NoError(t, p.Close(), "each runs once")
}

func TestCloseWaitsForTheBackground(t *testing.T) {
	t.Parallel()
	p := silent()
	ended := false
	p.Background(t.Context(), func(ctx context.Context) {
		<-ctx.Done()
		ended = true
	})
	require.NoError(t, p.Close())
	require.True(t, ended)
}

func TestAwaitTriesUntilItWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := &Program{Config: Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
		failures := []error{errors.New("refused"), errors.New("refused"), errors.New("starting"), nil}
		tries := 0
		err := p.Await(t.Context(), "postgres", func(ctx context.Context) error {
			until, _ := ctx.Deadline()
			require.Equal(t, attemptTimeout, time.Until(until))
			tries++
			return failures[tries-1]
		})
		require.NoError(t, err)
		require.Equal(t, len(failures), tries)
		require.Equal(t, 2, strings.Count(log.String(), "program.waiting"), "a failure is logged once until it changes")
	})
}

func TestAwaitReturnsWhatTimeDoesNotCure(t *testing.T) {
	t.Parallel()
	pending := errors.New("migration 0001 is not applied")
	require.Equal(t, pending, silent().Await(t.Context(), "postgres", func(context.Context) error { return UnlessUnavailable(pending) }))
	require.NoError(t, UnlessUnavailable(nil))
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	refused := fault.New(fault.StorageUnavailable, "refused")
	err := silent().Await(ctx, "postgres", func(context.Context) error {
		cancel()
		return UnlessUnavailable(refused)
	})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "wait for postgres")
	require.ErrorIs(t, err, refused)
}
