package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/program"
	"mailroom/shared/testenv"
)

// call is one run of the program.
type call struct {
	code           int
	stdout, stderr string
}

func execute(t *testing.T, env map[string]string, args ...string) call {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &process{
		getenv: func(name string) string { return env[name] }, stdout: &stdout, stderr: &stderr,
	})
	return call{code, stdout.String(), stderr.String()}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := execute(t, nil, "version")
	require.Equal(t, exitDone, got.code)
	require.Regexp(t, `^mailroom \S+\ncommit   \S+\ndate     \S+\n`+runtime.Version()+`\n$`, got.stdout)
	require.Empty(t, got.stderr)
}

func TestHelpNamesEveryRole(t *testing.T) {
	t.Parallel()
	got := execute(t, nil, "--help")
	require.Equal(t, exitDone, got.code)
	for _, want := range []string{"ingress", "worker", "all", "migrate", "version", "MAILROOM_CONFIG"} {
		require.Contains(t, got.stdout, want)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		args []string
		want string
	}{
		{nil, `expected one of "ingress"`},
		{[]string{"server"}, "mailroom: unexpected argument server (see mailroom --help)\n"},
		{[]string{"ingres"}, `did you mean "ingress"?`},
		{[]string{"ingress", "worker"}, "unexpected argument worker"},
		{[]string{"worker", "--listen", ":1"}, "unknown flag --listen"},
		{[]string{"migrate"}, "mailroom: set DATABASE_URL to the database that is to be migrated\n"},
	} {
		got := execute(t, nil, row.args...)
		require.Equal(t, exitUsage, got.code, "%v: %s", row.args, got.stderr)
		require.Contains(t, got.stderr, row.want, "%v", row.args)
		require.Empty(t, got.stdout, "%v", row.args)
	}
}

func TestRolesNameWhatTheEnvironmentLacks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ingress", "worker", "all"} {
		got := execute(t, nil, name)
		require.Equal(t, exitFailed, got.code, name)
		require.Contains(t, got.stderr, "DATABASE_URL is not set", name)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testenv.Postgres(t)}
	require.Equal(t, call{stdout: "the database is up to date\n"}, execute(t, env, "migrate"))
	got := execute(t, env, "migrate", "-o", "json")
	require.Equal(t, exitDone, got.code, got.stderr)
	require.JSONEq(t, `{"migrated":true,"search_index":true}`, got.stdout)
}

func TestMigrateHidesThePassword(t *testing.T) {
	t.Parallel()
	got := execute(t, map[string]string{"DATABASE_URL": "postgres://u:hidden-password@127.0.0.1:1/x?connect_timeout=2"}, "migrate")
	require.Equal(t, exitFailed, got.code)
	require.NotEmpty(t, got.stderr)
	require.NotContains(t, got.stderr, "hidden-password")
}

// configured returns a process whose configuration is text, with the variables of env
// beside those that every role needs.
func configured(t *testing.T, text string, env map[string]string) *process {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mailroom.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	all := map[string]string{
		"MAILROOM_CONFIG": path, "GOMEMLIMIT": "off", "GOGC": "off",
		"DATABASE_URL": "postgres://127.0.0.1:1/none", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "s",
	}
	maps.Copy(all, env)
	return &process{getenv: func(name string) string { return all[name] }, stdout: io.Discard, stderr: io.Discard}
}

// runs returns a server that runs f.
func runs(as config.Role, f func(context.Context) error) server {
	return server{role: as, run: func(ctx context.Context, _ program.Config) error {
		return f(ctx)
	}}
}

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

const withoutSecrets = `
sources: [{name: s, path: /s, profile: mailparse, schemes: [none], insecure: true, tenant: t}]
tenants: [{name: t}]
`

func TestARoleThatFailsStopsTheOther(t *testing.T) {
	t.Parallel()
	p := configured(t, withoutSecrets, nil)
	broken := errors.New("port is taken")
	err := p.serve(t.Context(), runs(config.RoleIngress, untilDone), runs(config.RoleWorker, func(context.Context) error { return broken }))
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "worker: port is taken")
}

func TestAStopEndsBothRoles(t *testing.T) {
	t.Parallel()
	p := configured(t, withoutSecrets, nil)
	ctx, stop := context.WithCancel(t.Context())
	started := make(chan struct{}, 2)
	wait := func(ctx context.Context) error { started <- struct{}{}; return untilDone(ctx) }
	waitForDependency := func(ctx context.Context) error {
		return fmt.Errorf("wait for postgres: %w", errors.Join(wait(ctx), ctx.Err()))
	}
	ended := make(chan error, 1)
	go func() {
		ended <- p.serve(ctx, runs(config.RoleIngress, wait), runs(config.RoleWorker, waitForDependency))
	}()
	<-started
	<-started
	stop()
	require.NoError(t, <-ended)
}

// TestARoleNeedsItsOwnSecretsAlone: the ingress starts without the secrets of
// destinations, the worker without those of sources and operators, and one process that
// runs both with all of them alone.
func TestARoleNeedsItsOwnSecretsAlone(t *testing.T) {
	t.Parallel()
	const text = `
sources: [{name: s, path: /s, profile: mailparse, schemes: [timestamp-hmac], secrets: [{ref: "env:SOURCE"}], tenant: t}]
tenants: [{name: t}]
destinations: [{name: d, url: "http://127.0.0.1:1", secret: {ref: "env:DESTINATION"}, allow_private: true}]
routes: [{name: r, when: {}, to: [d]}]
operators: [{name: ada, role: admin, token: {ref: "env:TOKEN"}}]
`
	ofIngress := map[string]string{"SOURCE": "s", "TOKEN": "t"}
	ofWorker := map[string]string{"DESTINATION": "d"}
	both := map[string]string{"SOURCE": "s", "TOKEN": "t", "DESTINATION": "d"}
	for name, row := range map[string]struct {
		roles []config.Role
		env   map[string]string
		want  []string
	}{
		"ingress":                       {[]config.Role{config.RoleIngress}, ofIngress, nil},
		"worker":                        {[]config.Role{config.RoleWorker}, ofWorker, nil},
		"all":                           {[]config.Role{config.RoleIngress, config.RoleWorker}, both, nil},
		"ingress, secrets of a worker":  {[]config.Role{config.RoleIngress}, ofWorker, []string{"sources[0].secrets[0].ref", "operators[0].token.ref"}},
		"worker, secrets of an ingress": {[]config.Role{config.RoleWorker}, ofIngress, []string{"destinations[0].secret.ref"}},
		"all, secrets of an ingress":    {[]config.Role{config.RoleIngress, config.RoleWorker}, ofIngress, []string{"destinations[0].secret.ref"}},
		"all, secrets of a worker":      {[]config.Role{config.RoleIngress, config.RoleWorker}, ofWorker, []string{"sources[0].secrets[0].ref", "operators[0].token.ref"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := configured(t, text, row.env)
			started := make(chan struct{}, len(row.roles))
			var servers []server
			for _, as := range row.roles {
				servers = append(servers, runs(as, func(context.Context) error { started <- struct{}{}; return nil }))
			}
			err := p.serve(t.Context(), servers...)
			if row.want == nil {
				require.NoError(t, err)
				require.Len(t, started, len(row.roles))
				return
			}
			require.Empty(t, started)
			var invalid *config.Invalid
			require.ErrorAs(t, err, &invalid)
			var paths []string
			for _, m := range invalid.Mistakes {
				paths = append(paths, m.Path)
			}
			require.Equal(t, row.want, paths)
		})
	}
}
