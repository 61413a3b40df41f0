package process

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAStackIsStoppedOnAFullDisk: the state could not be written, so that `down` failed after it
// had stopped everything, and `down -clean` deleted nothing.
func TestAStackIsStoppedOnAFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	dir := t.TempDir()
	s, err := Open(dir, nil)
	require.NoError(t, err)
	svc := Service{
		Name: "a", Patience: soon, Stop: syscall.SIGTERM, Grace: soon,
		Command: func() (Command, error) { return Command{Path: "/bin/sleep", Args: []string{"600"}, Dir: dir}, nil },
		Ready:   func(context.Context) error { return nil },
	}
	require.NoError(t, s.Ensure(t.Context(), svc))

	full := filepath.Join(dir, StateName+".new")
	require.NoError(t, os.Symlink("/dev/full", full))
	require.ErrorIs(t, s.Change(func(now *State) { now.Config = "x" }), syscall.ENOSPC)
	ended, err := s.EndAll([]string{"a"}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, ended)

	later, err := Open(dir, nil)
	require.NoError(t, err)
	require.False(t, later.Alive("a"), "the entry that stayed is of a process that has ended")
	require.NoError(t, os.Remove(full))
	_, err = later.EndAll([]string{"a"}, nil)
	require.NoError(t, err)
	require.Empty(t, later.State().Services)
}
