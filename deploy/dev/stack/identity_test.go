package stack

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
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
	self, alive := identify(os.Getpid())
	require.True(t, alive)
	require.True(t, self.alive())
	require.False(t, Identity{PID: self.PID, Started: "another time"}.alive())
	require.False(t, Identity{}.alive())

	sleeper := exec.Command("sleep", "600")
	require.NoError(t, sleeper.Start())
	other, alive := identify(sleeper.Process.Pid)
	require.True(t, alive)
	require.NotEqual(t, self.Started, "")
	// The id of a living program with another start time is not signalled.
	require.NoError(t, Identity{PID: other.PID, Started: "another time"}.signal(syscall.SIGKILL))
	require.True(t, other.alive())
	require.NoError(t, other.signal(syscall.SIGKILL))
	// Until it is collected it is a zombie, which does not live.
	require.Eventually(t, func() bool { return !other.alive() }, soon, tick)
	require.Error(t, sleeper.Wait())
	require.NoError(t, other.signal(syscall.SIGKILL), "ending what has ended is no error")
}

func TestAPortInUseIsNamedWithWhoUsesIt(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port
	ports, err := FreePorts()
	require.NoError(t, err)

	require.NoError(t, checkPorts([]*service{{name: "worker", ports: []int{ports.Sink}}}))
	err = checkPorts([]*service{{name: "worker", ports: []int{ports.Sink}}, {name: "ingress", ports: []int{port}}})
	require.ErrorContains(t, err, "port "+strconv.Itoa(port)+" (ingress) is in use")
	require.ErrorContains(t, err, "(pid "+strconv.Itoa(os.Getpid())+"): stop what listens there and try again")
	require.NotContains(t, err.Error(), "worker")
}

// TestFreePortsDiffer: stacks that are started beside each other get other ports, also
// while none of them listens yet.
func TestFreePortsDiffer(t *testing.T) {
	t.Parallel()
	sets, failures := make([]Ports, 40), make([]error, 40)
	var group sync.WaitGroup
	for i := range sets {
		group.Go(func() {
			sets[i], failures[i] = FreePorts()
		})
	}
	group.Wait()
	seen := map[int]bool{}
	for i, ports := range sets {
		require.NoError(t, failures[i])
		for _, port := range ports.each() {
			require.False(t, seen[*port])
			seen[*port] = true
		}
	}
}
