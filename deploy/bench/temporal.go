package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"go.temporal.io/sdk/client"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
)

// serverConfig is the development configuration of the Temporal server for
// PostgreSQL, on ports of our own and with what is not needed left out.
var serverConfig = template.Must(template.New("temporal").Parse(`
log: {stdout: true, level: warn}
persistence:
  defaultStore: default
  visibilityStore: visibility
  numHistoryShards: 4
  datastores:
    default:
      sql: {pluginName: postgres12, databaseName: temporal, connectAddr: "{{.Host}}", connectProtocol: tcp, user: "{{.User}}", password: "{{.Password}}", maxConns: 20, maxIdleConns: 20, maxConnLifetime: 1h}
    visibility:
      sql: {pluginName: postgres12, databaseName: temporal_visibility, connectAddr: "{{.Host}}", connectProtocol: tcp, user: "{{.User}}", password: "{{.Password}}", maxConns: 10, maxIdleConns: 10, maxConnLifetime: 1h}
global:
  membership: {maxJoinDuration: 30s, broadcastAddress: "127.0.0.1"}
services:
  frontend: {rpc: {grpcPort: {{index .Ports 0}}, membershipPort: {{index .Ports 1}}, bindOnLocalHost: true, httpPort: {{index .Ports 2}}}}
  matching: {rpc: {grpcPort: {{index .Ports 3}}, membershipPort: {{index .Ports 4}}, bindOnLocalHost: true}}
  history: {rpc: {grpcPort: {{index .Ports 5}}, membershipPort: {{index .Ports 6}}, bindOnLocalHost: true}}
  worker: {rpc: {grpcPort: {{index .Ports 7}}, membershipPort: {{index .Ports 8}}, bindOnLocalHost: true}}
clusterMetadata:
  enableGlobalNamespace: false
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation: {active: {enabled: true, initialFailoverVersion: 1, rpcName: frontend, rpcAddress: "127.0.0.1:{{index .Ports 0}}"}}
dcRedirectionPolicy: {policy: noop}
`))

// temporalServer is a Temporal server on the PostgreSQL of a stack.
type temporalServer struct {
	address, program, config string
	cmd                      *exec.Cmd
}

// startTemporal makes the databases and starts the server. Stop ends it.
func startTemporal(ctx context.Context, tools stack.Tools, dir string, infra stack.Infra) (*temporalServer, error) {
	built, err := tools.Build(ctx, "temporal-server")
	if err != nil {
		return nil, err
	}
	server, sql := built[0], built[1]
	database, err := url.Parse(infra.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	password, _ := database.User.Password()
	if err := makeSchemas(ctx, sql, database, password); err != nil {
		return nil, err
	}

	ports, err := process.FreePorts(9)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "temporal.yaml")
	file, err := os.Create(path) //nolint:gosec // below our own folder
	if err != nil {
		return nil, err
	}
	err = serverConfig.Execute(file, map[string]any{
		"Host": database.Host, "User": database.User.Username(), "Password": password, "Ports": ports,
	})
	if err := firstOf(err, file.Close()); err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	s := &temporalServer{address: fmt.Sprintf("127.0.0.1:%d", ports[0]), program: server, config: path}
	return s, s.start(ctx)
}

// start starts the server, again if it was stopped, and waits until it answers.
func (s *temporalServer) start(ctx context.Context) error {
	dir := filepath.Dir(s.config)
	log, err := os.OpenFile(filepath.Join(dir, "temporal.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // below our own folder
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(s.program, "--config-file", s.config, "--allow-no-auth", "start") //nolint:gosec,noctx // it outlives the context
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the Temporal server: %w", err)
	}
	s.cmd = cmd
	if err := s.wait(ctx); err != nil {
		s.stop()
		return fmt.Errorf("%w (log: %s)", err, log.Name())
	}
	return nil
}

func makeSchemas(ctx context.Context, tool string, database *url.URL, password string) error {
	host, port, err := net.SplitHostPort(database.Host)
	if err != nil {
		return fmt.Errorf("read the database URL: %w", err)
	}
	for name, schema := range map[string]string{"temporal": "temporal", "temporal_visibility": "visibility"} {
		for _, args := range [][]string{
			{"create"}, {"setup-schema", "-v", "0.0"}, {"update-schema", "--schema-name", "postgresql/v12/" + schema},
		} {
			cmd := exec.CommandContext(ctx, tool, args...) //nolint:gosec // a tool that we have built
			cmd.Env = append(os.Environ(), "SQL_PLUGIN=postgres12", "SQL_HOST="+host, "SQL_PORT="+port,
				"SQL_USER="+database.User.Username(), "SQL_PASSWORD="+password, "SQL_DATABASE="+name)
			if said, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("temporal schema %s: %s: %s: %w", name, args[0], strings.TrimSpace(string(said)), err)
			}
		}
	}
	return nil
}

// wait returns when the server answers.
func (s *temporalServer) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := client.DialContext(ctx, client.Options{HostPort: s.address, Logger: silent{}})
		if err == nil {
			_, err = c.CheckHealth(ctx, &client.CheckHealthRequest{})
			c.Close()
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the Temporal server does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// stop ends the server; a second time it does nothing.
func (s *temporalServer) stop() {
	if s.cmd == nil {
		return
	}
	defer func() { s.cmd = nil }()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// silent drops what the SDK logs, which would count as work.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
