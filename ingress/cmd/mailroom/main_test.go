package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/secret"
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
	require.Regexp(t, `^mailroom \S+\ncommit   \S+\n`+runtime.Version()+`\n$`, got.stdout)
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

// environment returns a process with a configuration that holds no secret.
func environment(t *testing.T) (*process, config.Env) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mailroom.yaml")
	require.NoError(t, os.WriteFile(path, []byte("sources: [{name: s, path: /s, profile: mailparse, schemes: [none], insecure: true, tenant: t}]\ntenants: [{name: t}]\n"), 0o600))
	return &process{getenv: func(string) string { return "" }, stdout: io.Discard, stderr: io.Discard}, config.Env{ConfigPath: path}
}

// runner makes a role of a function.
func runner(name string, env config.Env, f func(context.Context) error) role {
	return role{name, func(ctx context.Context, _ config.Env, _ *config.File, _ *secret.Store, _ *slog.Logger) error {
		return f(ctx)
	}, env}
}

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func TestARoleThatFailsStopsTheOther(t *testing.T) {
	t.Parallel()
	p, env := environment(t)
	broken := errors.New("port is taken")
	err := p.serve(t.Context(), "all", runner("ingress", env, untilDone), runner("worker", env, func(context.Context) error { return broken }))
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "worker: port is taken")
}

func TestAStopEndsBothRoles(t *testing.T) {
	t.Parallel()
	p, env := environment(t)
	ctx, stop := context.WithCancel(t.Context())
	started := make(chan struct{}, 2)
	wait := func(ctx context.Context) error { started <- struct{}{}; return untilDone(ctx) }
	ended := make(chan error, 1)
	go func() { ended <- p.serve(ctx, "all", runner("ingress", env, wait), runner("worker", env, wait)) }()
	<-started
	<-started
	stop()
	require.NoError(t, <-ended)
}
