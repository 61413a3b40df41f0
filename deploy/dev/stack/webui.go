package stack

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mailroom/deploy/dev/process"
)

// temporalUIService is Temporal's Web UI as its own server. The Web UI inside the
// development server does not send the operator's session to the codec server, so that it
// would show ciphertext to every operator.
func temporalUIService(s *Stack) process.Service {
	port := s.opt.Ports.TemporalUI
	dir := filepath.Join(s.opt.Dir, "temporal-ui")
	return process.Service{
		Name: TemporalUI, Ports: []int{port}, Where: process.Loopback(port),
		Patience: time.Minute, Stop: syscall.SIGTERM, Grace: 5 * time.Second,
		Prepare: func(context.Context) error {
			if err := os.MkdirAll(dir, 0o750); err != nil {
				return err
			}
			config, err := webUIConfig(s)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "base.yaml"), config, 0o600)
		},

		Command: func() (process.Command, error) {
			args := []string{"--root", dir, "--config", ".", "--env", "none", "start"}
			return process.Command{Path: filepath.Join(s.opt.Bin, TemporalUI), Args: args, Env: s.opt.Vars.Except("TEMPORAL_").List(), Dir: dir}, nil
		},
		Ready: func(ctx context.Context) error { return getOK(ctx, s.TemporalUI()+"/healthz") },
	}
}

// webUIConfig returns the configuration of the Web UI in JSON, which is valid YAML.
func webUIConfig(s *Stack) ([]byte, error) {
	type object = map[string]any
	return json.MarshalIndent(object{
		"host": "127.0.0.1", "port": s.opt.Ports.TemporalUI, "enableUi": true, "hideLogs": true,
		"temporalGrpcAddress": s.Infra().Temporal, "defaultNamespace": s.Infra().TemporalNamespace,
		// Only its own pages may call it, and it calls nothing on the internet.
		"cors":             object{"allowOrigins": []string{s.TemporalUI()}, "cookieInsecure": true},
		"disableNewsFetch": true,
		"codec":            object{"endpoint": s.OperatorURL() + "/codec", "includeCredentials": true},
	}, "", "  ")
}
