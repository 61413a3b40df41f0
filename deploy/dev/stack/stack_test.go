package stack

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	soon = 10 * time.Second
	tick = 10 * time.Millisecond
)

// script gives a service that runs a shell script and is ready when ready exists
// in its folder.
func script(s *Stack, name, text string) *service {
	ready := filepath.Join(s.opt.Dir, name+".ready")
	return &service{
		name: name, patience: soon, stop: syscall.SIGTERM, grace: soon,
		command: func() (command, error) {
			return command{path: "/bin/sh", args: []string{"-c", text}, vars: Vars{"READY": ready, "PATH": os.Getenv("PATH")}, dir: s.opt.Dir}, nil
		},
		ready: func(context.Context) error {
			if !fileExists(ready) {
				return errors.New("no file " + ready)
			}
			return nil
		},
	}
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
	before := first.state.get().Services
	require.Len(t, before, 2)

	second := newStack(t, dir, good, good)
	require.NoError(t, second.Up(t.Context()))
	require.ElementsMatch(t, before, second.state.get().Services)

	a, alive := second.state.running("a")
	require.True(t, alive)
	require.NoError(t, a.signal(syscall.SIGKILL))
	require.Eventually(t, func() bool { return !a.alive() }, soon, tick)
	third := newStack(t, dir, good, good)
	require.NoError(t, third.Up(t.Context()))
	again, alive := third.state.running("a")
	require.True(t, alive)
	require.NotEqual(t, a.Identity, again.Identity)
	b, _ := third.state.running("b")
	require.Contains(t, before, b)

	names, err := third.Down(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "b"}, names)
	require.False(t, again.alive())
	require.False(t, b.alive())
	names, err = third.Down(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestAFailedUpSaysWhyInTheProgramsWordsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStack(t, dir, good)
	require.NoError(t, s.Up(t.Context()))
	a, _ := s.state.running("a")

	s.services = append(s.services,
		script(s, "b", good), script(s, "c", `echo '{"level":"ERROR","msg":"stopped","error":"no such bucket"}'; echo bye; exit 3`))
	err := s.Up(t.Context())
	require.ErrorContains(t, err, "c ended while starting: stopped: no such bucket (log: ")
	require.True(t, a.alive(), "what ran before goes on")
	require.Len(t, s.state.get().Services, 1)
	_, alive := s.state.running("b")
	require.False(t, alive)
}

func TestAnInterruptedUpLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t, t.TempDir(), good, `exec sleep 600`)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- s.Up(ctx) }()
	require.Eventually(t, func() bool { return len(s.state.get().Services) == 2 }, soon, tick)
	running := s.state.get().Services
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	for _, r := range running {
		require.False(t, r.alive(), r.Name)
	}
	require.Empty(t, s.state.get().Services)
}

func TestWhatDoesNotEndIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStack(t, dir, `trap '' TERM; sleep 600 & echo $! > child; touch "$READY"; while :; do wait; done`)
	s.services[0].grace = 200 * time.Millisecond
	require.NoError(t, s.Up(t.Context()))
	a, _ := s.state.running("a")
	text, err := os.ReadFile(filepath.Join(dir, "child"))
	require.NoError(t, err)
	child, alive := identify(number(string(text)))
	require.True(t, alive)
	require.NoError(t, s.Stop("a"))
	require.False(t, a.alive())
	require.Eventually(t, func() bool { return !child.alive() }, soon, tick)
}

func TestDownLeavesAForeignProgramWithTheSameIDAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStack(t, dir, good)
	require.NoError(t, s.Up(t.Context()))
	a, _ := s.state.running("a")
	require.NoError(t, s.state.put(Running{Identity: Identity{a.PID, "long ago"}, Name: "a", Stop: syscall.SIGKILL}))
	names, err := s.Down(t.Context())
	require.NoError(t, err)
	require.Empty(t, names)
	require.True(t, a.alive())
	require.NoError(t, a.signal(syscall.SIGKILL))
}

func TestStartStopKillRestartOne(t *testing.T) {
	t.Parallel()
	s := newStack(t, t.TempDir(), good)
	require.NoError(t, s.Start(t.Context(), "a"))
	one, alive := s.state.running("a")
	require.True(t, alive)
	require.NoError(t, s.Restart(t.Context(), "a"))
	two, _ := s.state.running("a")
	require.NotEqual(t, one.Identity, two.Identity)
	require.NoError(t, s.Kill("a"))
	require.False(t, two.alive())
	require.NoError(t, s.Stop("a"), "stopping what does not run is no error")
	require.ErrorContains(t, s.Stop("z"), "does not run z")
}

func TestSweepStopsWhatAnEndedOwnerLeft(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "test-1")
	s := newStack(t, filepath.Join(dir, "inner"), good)
	require.NoError(t, s.Up(t.Context()))
	a, _ := s.state.running("a")
	require.True(t, s.Owned(), "it has just been made")
	require.NoError(t, s.Claim())
	require.True(t, s.Owned())
	require.NoError(t, s.state.change(func(now *State) { now.Owner.Started = "long ago" }))
	require.False(t, s.Owned())
	require.NoError(t, Sweep(t.Context(), dir, &Console{}))
	require.False(t, a.alive())
	require.NoDirExists(t, dir)
}

func TestStateThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, stateName), []byte("{"), 0o600))
	_, err := New(Options{Dir: dir})
	require.ErrorContains(t, err, filepath.Join(dir, stateName)+" cannot be read")
}

func TestUseConfigTellsWhatRunsWithAnother(t *testing.T) {
	t.Parallel()
	s := newStack(t, t.TempDir())
	s.services = []*service{script(s, Ingress, good)}
	for _, sum := range []string{"0", "1"} { // nothing runs: any may be used
		change, err := s.UseConfig("one.yaml", sum)
		require.NoError(t, err)
		require.Equal(t, SameConfig, change)
	}
	require.NoError(t, s.Start(t.Context(), Ingress))
	for want, use := range map[ConfigChange][2]string{SameConfig: {"one.yaml", "1"}, OtherText: {"one.yaml", "2"}, OtherFile: {"two.yaml", "1"}} {
		change, err := s.UseConfig(use[0], use[1])
		require.NoError(t, err)
		require.Equal(t, want, change)
	}
}

func TestConsoleReassures(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := NewConsole(&out)
	c.last = time.Now().Add(-time.Hour)
	done := c.Await("temporal")
	stop := c.Reassure(t.Context())
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Contains(out.String(), "… temporal (")
	}, soon, tick)
	stop()
	done()
	require.Empty(t, c.waiting)
}
