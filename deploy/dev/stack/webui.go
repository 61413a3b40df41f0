package stack

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// temporalUI is Temporal's Web UI as a server of its own. The one inside the
// development server knows the address of the codec server and not that the
// session of who is signed in there goes with what is asked: it would show
// ciphertext to everybody.
func (s *Stack) temporalUI() *service {
	port := s.opt.Ports.TemporalUI
	dir := filepath.Join(s.opt.Dir, "temporal-ui")
	return &service{
		name: TemporalUI, ports: []int{port}, where: loopback(port),
		patience: time.Minute, stop: syscall.SIGTERM, grace: 5 * time.Second,
		prepare: func(ctx context.Context) error {
			if err := os.MkdirAll(dir, 0o750); err != nil {
				return err
			}
			config, err := s.webUIConfig()
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, "base.yaml"), config, 0o600); err != nil {
				return err
			}
			return s.awaitTemporal(ctx)
		},
		command: func() (command, error) {
			args := []string{"--root", dir, "--config", ".", "--env", "none", "start"}
			return command{path: filepath.Join(s.opt.Bin, TemporalUI), args: args, vars: s.base().Except("TEMPORAL_"), dir: dir}, nil
		},
		ready: func(ctx context.Context) error { return getOK(ctx, s.TemporalUI()+"/healthz") },
	}
}

// awaitTemporal waits while the Temporal of this stack is being built and started.
// The Web UI connects once and, where nobody listens yet, tries again at growing
// distances of up to two minutes. The context ends when Temporal does not start.
func (s *Stack) awaitTemporal(ctx context.Context) error {
	if !s.runs(Temporal) {
		return nil
	}
	return eventually(ctx, time.Hour, func() error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", loopback(s.opt.Ports.Temporal))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// webUIConfig gives what the Web UI reads at its start (YAML, of which JSON is part).
func (s *Stack) webUIConfig() ([]byte, error) {
	type object = map[string]any
	return json.MarshalIndent(object{
		"host": "127.0.0.1", "port": s.opt.Ports.TemporalUI, "enableUi": true, "hideLogs": true,
		"temporalGrpcAddress": s.Infra().Temporal, "defaultNamespace": s.Infra().TemporalNamespace,
		// Nothing but its own pages may ask it, and nothing is asked of the internet.
		"cors":             object{"allowOrigins": []string{s.TemporalUI()}, "cookieInsecure": true},
		"disableNewsFetch": true,
		"codec":            object{"endpoint": s.OperatorURL() + "/codec", "includeCredentials": true},
	}, "", "  ")
}
