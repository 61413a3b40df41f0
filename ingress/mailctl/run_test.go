package mailctl_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/mailctl"
	"mailroom/shared/build"
)

// outcome is what one call of mailctl did.
type outcome struct {
	code           int
	stdout, stderr string
}

// call is one call of mailctl.
type call struct {
	args  []string
	stdin string
	env   map[string]string
}

func (c call) run(t *testing.T) outcome {
	t.Helper()
	return c.runContext(t.Context(), t)
}

func (c call) runContext(ctx context.Context, t *testing.T) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := mailctl.Run(ctx, c.args, strings.NewReader(c.stdin), &stdout, &stderr,
		func(name string) string { return c.env[name] })
	return outcome{code, stdout.String(), stderr.String()}
}

// done runs a call that must succeed and returns its stdout.
func (c call) done(t *testing.T) string {
	t.Helper()
	got := c.run(t)
	require.Equal(t, 0, got.code, got.stderr)
	require.Empty(t, got.stderr)
	return got.stdout
}

// requireOneLine checks that an error is one line.
func requireOneLine(t *testing.T, text string) {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, "\n"), text)
	require.True(t, strings.HasPrefix(text, "mailctl: "), text)
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestHelp(t *testing.T) {
	t.Parallel()
	require.Equal(t, outcome{2, call{args: []string{"--help"}}.done(t), ""}, call{}.run(t))
	for _, args := range [][]string{{"--help"}, {"-h"}} {
		got := call{args: args}.done(t)
		for _, want := range []string{"send", "sign", "verify", "mime", "emails approve", "sources list", "sources failures", "WEBHOOK_SECRET", "MAILROOM_TOKEN", "Exit codes"} {
			require.Contains(t, got, want)
		}
	}
	require.Contains(t, call{args: []string{"send", "--help"}}.done(t), "--attach")
}

func TestVersionIsThatOfTheServer(t *testing.T) {
	t.Parallel()
	got := call{args: []string{"version"}}.done(t)
	require.Equal(t, build.Read().Text("mailctl"), got)
	require.Equal(t, 4, strings.Count(got, "\n"))
	require.Contains(t, call{args: []string{"version", "-o", "json"}}.done(t), `"commit":"`)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	body := file(t, "a.json", "{}")
	remote := []string{"--url", "https://mail.example/hook"}
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"nothing"}, "unexpected argument nothing (see mailctl --help)"},
		{[]string{"send", "--frm", "x"}, "unknown flag --frm"},
		{[]string{"-o", "yaml", "audit", "head"}, `--output must be one of "text","json"`},
		{[]string{"emails", "approve", "evt_1"}, "missing flags: --note=STRING (see mailctl emails approve --help)"},
		{[]string{"emails", "get"}, "give the id of an email, or --number"},
		{[]string{"emails", "raw", "evt_1", "--part", "head"}, "--part must be one of"},
		{[]string{"sign"}, "expected"},
		{[]string{"sign", body, "--timestamp", "1\r\nX-Evil: 1"}, "--timestamp"},
		{[]string{"verify", body, "--timestamp", "1"}, "missing flags: --signature"},
		{[]string{"verify", body, "--timestamp", "1", "--signature", "x", "--tolerance", "-1s"}, "--tolerance"},
		{[]string{"send", "--count", "0"}, "--count"},
		{[]string{"send", "--parallel", "0"}, "--parallel"},
		{[]string{"send", "--parallel", "257"}, "--parallel"},
		{[]string{"send", body, "--subject", "x"}, "do not go with a file"},
		{[]string{"send", body, body, "--event-id", "x"}, "several files"},
		{append([]string{"send"}, remote...), "set WEBHOOK_SECRET or give --secret-file: the host is not loopback"},
		{append([]string{"sign", body}, remote...), "set WEBHOOK_SECRET"},
		{[]string{"emails", "list", "--api", "https://mail.example"}, "set MAILROOM_TOKEN or give --token-file: the host is not loopback"},
		{[]string{"sign", body, "--secret-file", file(t, "empty", "\n")}, "--secret-file: the file is empty"},
		{[]string{"emails", "list", "--api", "http://127.0.0.1:\x7f"}, "set MAILROOM_TOKEN"},
	} {
		got := call{args: row.args}.run(t)
		require.Equal(t, 2, got.code, "%v: %s", row.args, got.stderr)
		requireOneLine(t, got.stderr)
		require.Contains(t, got.stderr, row.want, "%v", row.args)
		require.Empty(t, got.stdout, "%v", row.args)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for _, row := range []call{
		{args: []string{"send", missing}},
		{args: []string{"send", "--attach", missing}},
		{args: []string{"sign", missing}},
		{args: []string{"mime", missing}},
		{args: []string{"mime", file(t, "empty.eml", "")}},
		{args: []string{"sign", file(t, "a", "x"), "--secret-file", missing}},
		{args: []string{"emails", "list", "--api", "http://127.0.0.1:1"}},
	} {
		got := row.run(t)
		require.Equal(t, 1, got.code, "%v: %s", row.args, got.stderr)
		requireOneLine(t, got.stderr)
		require.Empty(t, got.stdout, "%v", row.args)
	}
}
