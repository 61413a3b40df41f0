package stack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/process"
)

// TestTheWebUIIsForThisMachineAndSendsTheSession: it shows clear text to
// operators that are signed in, ciphertext to others, and listens on loopback alone.
func TestTheWebUIIsForThisMachineAndSendsTheSession(t *testing.T) {
	t.Parallel()
	ports, err := FreePorts()
	require.NoError(t, err)
	s, err := New(Options{Dir: t.TempDir(), Bin: "/bin", Services: Everything(), Ports: ports, Vars: DevDefaults().With(Vars{"TEMPORAL_ROOT": "/elsewhere"})})
	require.NoError(t, err)
	svc, err := find(s, TemporalUI)
	require.NoError(t, err)
	require.Equal(t, []int{ports.TemporalUI}, svc.Ports)

	require.NoError(t, svc.Prepare(t.Context()))

	c, err := svc.Command()
	require.NoError(t, err)
	require.NotContains(t, strings.Join(c.Env, " "), "TEMPORAL_ROOT", "a setting of the caller leads it elsewhere")
	require.Equal(t, "/bin/temporal-ui", c.Path)
	text, err := os.ReadFile(filepath.Join(c.Dir, "base.yaml"))
	require.NoError(t, err)
	var config struct {
		Host, TemporalGRPCAddress string
		Port                      int
		CORS                      struct{ AllowOrigins []string }
		Codec                     struct {
			Endpoint           string
			IncludeCredentials bool
		}
	}
	require.NoError(t, json.Unmarshal(text, &config))
	require.Equal(t, "127.0.0.1", config.Host)
	require.Equal(t, ports.TemporalUI, config.Port)
	require.Equal(t, process.Loopback(ports.Temporal), config.TemporalGRPCAddress)
	require.Equal(t, []string{s.TemporalUI()}, config.CORS.AllowOrigins)
	require.Equal(t, s.OperatorURL()+"/codec", config.Codec.Endpoint)
	require.True(t, config.Codec.IncludeCredentials)
}

// TestTestsBuildNoWebUI: it takes a minute to compile, and no test opens it.
func TestTestsBuildNoWebUI(t *testing.T) {
	t.Parallel()
	require.NotContains(t, Servers(), TemporalUI)
	require.NotContains(t, Programs(), TemporalUI)
	require.Subset(t, Everything(), append(Servers(), Programs()...))
}
