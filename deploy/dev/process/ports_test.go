package process

import (
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPortInUseIsNamedWithTheProcess(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port
	ports, err := FreePorts(1)
	require.NoError(t, err)

	require.NoError(t, CheckPorts([]Service{{Name: "worker", Ports: []int{ports[0]}}}))
	err = CheckPorts([]Service{{Name: "worker", Ports: []int{ports[0]}}, {Name: "ingress", Ports: []int{port}}})
	require.ErrorContains(t, err, "port "+strconv.Itoa(port)+" (ingress) is in use")
	require.ErrorContains(t, err, "(pid "+strconv.Itoa(os.Getpid())+"): stop what listens there and try again")
	require.NotContains(t, err.Error(), "worker")
}
