package stack

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheWebUIIsForThisMachineAndSendsTheSession: ciphertext for whoever is not
// signed in, clear text for who is, and nothing of it beyond loopback.
func TestTheWebUIIsForThisMachineAndSendsTheSession(t *testing.T) {
	t.Parallel()
	ports, err := FreePorts()
	require.NoError(t, err)
	s, err := New(Options{Dir: t.TempDir(), Bin: "/bin", Services: Everything(), Ports: ports, Vars: DevDefaults().With(Vars{"TEMPORAL_ROOT": "/elsewhere"})})
	require.NoError(t, err)
	svc, err := s.find(TemporalUI)
	require.NoError(t, err)
	require.Equal(t, []int{ports.TemporalUI}, svc.ports)

	// It waits for Temporal, which listens here already.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", loopback(ports.Temporal))
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	require.NoError(t, svc.prepare(t.Context()))

	c, err := svc.command()
	require.NoError(t, err)
	require.Empty(t, c.vars.Get("TEMPORAL_ROOT"), "a setting of the caller leads it elsewhere")
	require.Equal(t, "/bin/temporal-ui", c.path)
	text, err := os.ReadFile(filepath.Join(c.dir, "base.yaml"))
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
	require.Equal(t, loopback(ports.Temporal), config.TemporalGRPCAddress)
	require.Equal(t, []string{s.TemporalUI()}, config.CORS.AllowOrigins)
	require.Equal(t, s.OperatorURL()+"/codec", config.Codec.Endpoint)
	require.True(t, config.Codec.IncludeCredentials)
}

// TestTestsBuildNoWebUI: it takes a minute to compile and nobody looks at it there.
func TestTestsBuildNoWebUI(t *testing.T) {
	t.Parallel()
	require.NotContains(t, Servers(), TemporalUI)
	require.NotContains(t, Programs(), TemporalUI)
	require.Subset(t, Everything(), append(Servers(), Programs()...))
}
