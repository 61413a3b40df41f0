package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHelpNeedsNoEnvironment asks every command for its help without any variable.
func TestHelpNeedsNoEnvironment(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"ingress"}, {"worker"}, {"all"}, {"migrate"}, {"version"}} {
		got := execute(t, nil, append(args, "--help")...)
		require.Equal(t, exitDone, got.code, args)
		require.Contains(t, got.stdout, "Usage: mailroom "+args[0], args)
		require.Empty(t, got.stderr, args)
	}
}

// TestCheckIsTheStart: --check finds what the start would, and needs no service.
func TestCheckIsTheStart(t *testing.T) {
	t.Parallel()
	const text = `
sources: [{name: s, path: /s, profile: mailparse, schemes: [none], insecure: true, tenant: t}]
tenants: [{name: t}]
destinations: [{name: d, url: "http://127.0.0.1:1", secret: {ref: "env:DESTINATION"}, allow_private: true}]
routes:
  - {name: r, when: {header: {X-A: "1", x-a: "2"}}, to: [d]}
`
	path := filepath.Join(t.TempDir(), "mailroom.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	env := map[string]string{
		"MAILROOM_CONFIG": path, "DATABASE_URL": "postgres://127.0.0.1:1/none", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "s",
		"DESTINATION": "hidden", "MAILROOM_LISTEN": "0.0.0.0:0",
	}

	for role, want := range map[string][]string{
		"ingress": {"sources (line 2) source s is insecure", `routes[0] (line 6) header `},
		"worker":  {`routes[0] (line 6) header `, "scanner (line 2) CLAMD_ADDRESS is not set"},
		"all":     {"sources (line 2) source s is insecure", `routes[0] (line 6) header `, "scanner (line 2) CLAMD_ADDRESS is not set"},
	} {
		got := execute(t, env, role, "--check")
		require.Equal(t, exitFailed, got.code, role)
		for _, line := range want {
			require.Contains(t, got.stderr, "\n  "+line, role)
		}
		if role != "all" { // whose roles each stop at their own mistakes
			require.NotEqual(t, exitDone, execute(t, env, role).code, "a start with it")
		}

		got = execute(t, env, role, "--check", "-o", "json")
		require.Equal(t, exitFailed, got.code, role)
		require.Contains(t, got.stdout, `{"path":"routes[0]","line":6,`)
	}
	require.Equal(t, exitUsage, execute(t, env, "worker", "-o", "json").code)
}

func TestCheckOfASoundConfiguration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mailroom.yaml")
	require.NoError(t, os.WriteFile(path, []byte(withoutSecrets+"scanner: builtin\n"), 0o600))
	env := map[string]string{"MAILROOM_CONFIG": path, "DATABASE_URL": "x", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "s"}
	for _, role := range []string{"ingress", "worker", "all"} {
		require.Equal(t, call{stdout: "configuration " + path + " is valid for " + role + "\n"}, execute(t, env, role, "--check"))
	}

	delete(env, "DATABASE_URL")
	got := execute(t, env, "all", "--check", "-o", "json")
	require.Equal(t, exitFailed, got.code)
	require.JSONEq(t, `{"file":"`+path+`","valid":false,"mistakes":[],"environment":["DATABASE_URL is not set"]}`, got.stdout)
}
