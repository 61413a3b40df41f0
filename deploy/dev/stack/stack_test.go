package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/process"
)

const (
	soon = 10 * time.Second
	tick = 10 * time.Millisecond
)

// script returns a service that runs a shell script and is ready when the script has
// written a file in the folder of the stack.
func script(s *Stack, name, text string) process.Service {
	ready := filepath.Join(s.opt.Dir, name+".ready")
	return process.Service{
		Name: name, Patience: soon, Stop: syscall.SIGTERM, Grace: soon,
		Command: func() (process.Command, error) {
			return process.Command{Path: "/bin/sh", Args: []string{"-c", text}, Env: []string{"READY=" + ready, "PATH=" + os.Getenv("PATH")}, Dir: s.opt.Dir}, nil
		},
		Ready: func(context.Context) error {
			if !fileExists(ready) {
				return errors.New("no file " + ready)
			}
			return nil
		},
	}
}

// running returns what the state file says of a service, and whether it runs.
func running(s *Stack, name string) (process.Running, bool) {
	for _, r := range s.State().Services {
		if r.Name == name {
			return r, r.Alive()
		}
	}
	return process.Running{}, false
}

const good = `touch "$READY"; exec sleep 600`

func newStack(t *testing.T, dir string, texts ...string) *Stack {
	t.Helper()
	s, err := New(Options{Dir: dir})
	require.NoError(t, err)
	for i, text := range texts {
		s.services = append(s.services, script(s, string(rune('a'+i)), text))
	}
	t.Cleanup(func() { _, _ = s.Down(context.Background()) })
	return s
}

func TestASecondUpChangesNothingAndStartsWhatHasDied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newStack(t, dir, good, good)
	require.NoError(t, first.Up(t.Context()))
	before := first.State().Services
	require.Len(t, before, 2)

	second := newStack(t, dir, good, good)
	require.NoError(t, second.Up(t.Context()))
	require.ElementsMatch(t, before, second.State().Services)

	a, alive := running(second, "a")
	require.True(t, alive)
	require.NoError(t, a.Signal(syscall.SIGKILL))
	require.Eventually(t, func() bool { return !a.Alive() }, soon, tick)
	third := newStack(t, dir, good, good)
	require.NoError(t, third.Up(t.Context()))
	again, alive := running(third, "a")
	require.True(t, alive)
	require.NotEqual(t, a.Identity, again.Identity)
	b, _ := running(third, "b")
	require.Contains(t, before, b)

	names, err := third.Down(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "b"}, names)
	require.False(t, again.Alive())
	require.False(t, b.Alive())
	names, err = third.Down(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestAFailedUpSaysWhyInTheProgramsWordsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStack(t, dir, good)
	require.NoError(t, s.Up(t.Context()))
	a, _ := running(s, "a")

	s.services = append(s.services,
		script(s, "b", good), script(s, "c", `echo '{"level":"ERROR","msg":"stopped","error":"no such bucket"}'; echo bye; exit 3`))
	err := s.Up(t.Context())
	require.ErrorContains(t, err, "c ended while starting: stopped: no such bucket (log: ")
	require.True(t, a.Alive(), "what ran before goes on")
	require.Len(t, s.State().Services, 1)
	_, alive := running(s, "b")
	require.False(t, alive)
}

func TestAnInterruptedUpLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t, t.TempDir(), good, `exec sleep 600`)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- s.Up(ctx) }()
	require.Eventually(t, func() bool { return len(s.State().Services) == 2 }, soon, tick)
	running := s.State().Services
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	for _, r := range running {
		require.False(t, r.Alive(), r.Name)
	}
	require.Empty(t, s.State().Services)
}

func TestWhatDoesNotEndIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStack(t, dir, `trap '' TERM; sleep 600 & echo $! > child; touch "$READY"; while :; do wait; done`)
	s.services[0].Grace = 200 * time.Millisecond
	require.NoError(t, s.Up(t.Context()))
	a, _ := running(s, "a")
	text, err := os.ReadFile(filepath.Join(dir, "child"))
	require.NoError(t, err)
	child, alive := process.Identify(number(string(text)))
	require.True(t, alive)
	require.NoError(t, s.Stop("a"))
	require.False(t, a.Alive())
	require.Eventually(t, func() bool { return !child.Alive() }, soon, tick)
}

func TestDownLeavesAForeignProgramWithTheSameIDAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStack(t, dir, good)
	require.NoError(t, s.Up(t.Context()))
	a, _ := running(s, "a")
	require.NoError(t, s.Change(func(now *process.State) { now.Services[0].Started = "long ago" }))
	names, err := s.Down(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
	require.True(t, a.Alive())
	require.NoError(t, a.Signal(syscall.SIGKILL))
}

func TestStartStopKillRestartOne(t *testing.T) {
	t.Parallel()
	s := newStack(t, t.TempDir(), good)
	require.NoError(t, s.Start(t.Context(), "a"))
	one, alive := running(s, "a")
	require.True(t, alive)
	require.NoError(t, s.Restart(t.Context(), "a"))
	two, _ := running(s, "a")
	require.NotEqual(t, one.Identity, two.Identity)
	require.NoError(t, s.Kill("a"))
	require.False(t, two.Alive())
	require.NoError(t, s.Stop("a"), "stopping what does not run is no error")
	require.ErrorContains(t, s.Stop("z"), "does not run z")
}

func TestSweepStopsWhatAnEndedOwnerLeft(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "test-1")
	s := newStack(t, filepath.Join(dir, "inner"), good)
	require.NoError(t, s.Up(t.Context()))
	a, _ := running(s, "a")
	requireOwned(t, true, s, "it has just been made")

	_, err := New(Options{Dir: s.opt.Dir, Throwaway: true})
	require.NoError(t, err)
	requireOwned(t, true, s, "this process owns it")
	require.NoError(t, s.Change(func(now *process.State) { now.Owner = process.Identity{PID: os.Getpid(), Started: "long ago"} }))
	requireOwned(t, false, s, "its owner has ended")
	require.NoError(t, Sweep(t.Context(), dir, &process.Console{}))
	require.False(t, a.Alive())
	require.NoDirExists(t, dir)
}

func requireOwned(t *testing.T, want bool, s *Stack, why string) {
	t.Helper()
	owned, err := Owned(s.opt.Dir)
	require.NoError(t, err)
	require.Equal(t, want, owned, why)
}

func TestStateThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, process.StateName), []byte("{"), 0o600))
	_, err := New(Options{Dir: dir})
	require.ErrorContains(t, err, filepath.Join(dir, process.StateName)+" cannot be read")
}

func TestUseConfigTellsWhatRunsWithAnother(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	dir := t.TempDir()
	s, err := New(Options{Dir: dir, Console: process.NewConsole(&out)})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = s.Down(context.Background()) })
	s.services = []process.Service{script(s, Ingress, good)}
	one, two := filepath.Join(dir, "one.yaml"), filepath.Join(dir, "two.yaml")
	for _, text := range []string{"0", "1"} { // nothing runs: any may be used
		require.NoError(t, os.WriteFile(one, []byte(text), 0o600))
		require.NoError(t, os.WriteFile(two, []byte(text), 0o600))
		require.NoError(t, s.UseConfig(one))
	}
	require.NoError(t, s.Start(t.Context(), Ingress))
	out.Reset()

	require.NoError(t, s.UseConfig(one))
	require.Empty(t, out.String(), "the same text")
	require.ErrorContains(t, s.UseConfig(two), "runs with the configuration "+one+": restart ingress and worker with the other one")
	require.NoError(t, os.WriteFile(one, []byte("2"), 0o600))
	require.NoError(t, s.UseConfig(one))
	require.Contains(t, out.String(), "NOTE: the configuration has changed since the start")

	require.NoError(t, s.ChangeConfig(two), "for a restart")
	require.NoError(t, s.UseConfig(two))
}

// TestReplaceKeepsWhatRunsUntilTheNewOneDoes: the new service makes the old one end; one
// that fails leaves the old one, its entry in the state, and its log.
func TestReplaceKeepsWhatRunsUntilTheNewOneDoes(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = s.Down(context.Background()) })
	require.NoError(t, s.Supervisor.Replace(t.Context(), script(s, Ingress, "echo first; "+good)), "nothing runs: it is started")
	first := s.PID(Ingress)

	err = s.Supervisor.Replace(t.Context(), script(s, Ingress, "echo broken; exit 3"))
	require.ErrorContains(t, err, "ended while starting: broken")
	require.ErrorContains(t, err, "the one that ran before goes on")
	require.Equal(t, first, s.PID(Ingress))
	log, err := os.ReadFile(s.LogFile(Ingress))
	require.NoError(t, err)
	require.Equal(t, "first\n", string(log))

	require.NoError(t, s.Supervisor.Replace(t.Context(), script(s, Ingress, fmt.Sprintf("kill %d; %s", first, good))))
	require.NotEqual(t, first, s.PID(Ingress))
	require.True(t, s.Alive(Ingress))
	require.NoError(t, s.End(Ingress, 0), "it is ended like any other")
	require.False(t, s.Alive(Ingress))
}
