package process

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const fields = " 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 %s 2560000 300"
	for name, state := range map[string]string{"77 (worker) S": "alive", "77 (a) b) (c) R": "alive", "77 (worker) Z": "ended", "77 (worker) X": "ended"} {
		started, alive := parseStat(name + strings.Replace(fields, "%s", "4711", 1))
		require.Equal(t, "4711", started, name)
		require.Equal(t, state == "alive", alive, name)
	}
	_, alive := parseStat("77 (worker) S 1 2")
	require.False(t, alive)
}

func TestParsePS(t *testing.T) {
	t.Parallel()
	started, alive := parsePS("Ss   Sun Nov 22  14:05:01 2026\n")
	require.True(t, alive)
	require.Equal(t, "Sun Nov 22 14:05:01 2026", started)
	_, alive = parsePS("Z+   Sun Nov 22 14:05:01 2026")
	require.False(t, alive)
	_, alive = parsePS("")
	require.False(t, alive)
}

func TestAnIdentityEndsWithItsRun(t *testing.T) {
	t.Parallel()
	self, alive := Identify(os.Getpid())
	require.True(t, alive)
	require.True(t, self.Alive())
	require.False(t, Identity{PID: self.PID, Started: "another time"}.Alive())
	require.False(t, Identity{}.Alive())

	sleeper := exec.Command("sleep", "600")
	require.NoError(t, sleeper.Start())
	other, alive := Identify(sleeper.Process.Pid)
	require.True(t, alive)
	require.NotEqual(t, self.Started, "")
	// The id of a living program with another start time is not signalled.
	require.NoError(t, Identity{PID: other.PID, Started: "another time"}.Signal(syscall.SIGKILL))
	require.True(t, other.Alive())
	require.NoError(t, other.Signal(syscall.SIGKILL))
	// Until it is collected it is a zombie, which does not live.
	require.Eventually(t, func() bool { return !other.Alive() }, soon, tick)
	require.Error(t, sleeper.Wait())
	require.NoError(t, other.Signal(syscall.SIGKILL), "ending what has ended is no error")
}
