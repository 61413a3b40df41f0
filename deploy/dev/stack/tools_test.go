package stack

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestToolLines(t *testing.T) {
	t.Parallel()
	const mod = `module mailroom/deploy/tools/x

go 1.26.0

tool (
	example.com/a/cmd/server // the server
	example.com/a/cmd/sql
)

tool example.com/b

require (
	example.com/a v1.2.3
	example.com/a/cmd v0.9.0 // indirect
	example.com/ab v9.9.9
)

require example.com/b v0.0.1
`
	require.Equal(t, []string{"example.com/a/cmd/server", "example.com/a/cmd/sql", "example.com/b"}, toolLines(mod))
}

// TestToolsFindNoLinkOfTheirOwn: .dev/bin on PATH once made its links lead to themselves,
// where the tools lay outside of the repository.
func TestToolsFindNoLinkOfTheirOwn(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	bin, tool := filepath.Join(root, ".dev", "bin"), filepath.Join(elsewhere, "temporal")
	require.NoError(t, os.MkdirAll(bin, 0o700))
	require.NoError(t, os.WriteFile(tool, []byte("#!/bin/sh\n"), 0o700))
	require.NoError(t, os.Symlink(tool, filepath.Join(bin, "temporal")))
	t.Setenv("PATH", bin)

	_, err := Tools{Root: root}.Find(t.Context(), "temporal")
	require.ErrorContains(t, err, "which pins temporal", "it looks for the pinned one")

	t.Setenv("PATH", elsewhere)
	found, err := Tools{Root: root}.Find(t.Context(), "temporal")
	require.NoError(t, err)
	require.Equal(t, tool, found)
}

// TestToolsAreBuiltAnewWhenTheirSourceChanges, and not for a change of their tests.
func TestToolsAreBuiltAnewWhenTheirSourceChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seen := map[string]bool{}
	for _, file := range []string{"go.mod", "go.sum", "main.go"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte("text"), 0o600))
		sum, err := fingerprint(dir)
		require.NoError(t, err)
		require.False(t, seen[sum], file)
		seen[sum] = true
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main_test.go"), []byte("text"), 0o600))
	sum, err := fingerprint(dir)
	require.NoError(t, err)
	require.True(t, seen[sum])
}

// TestOneVersionOfTemporal: what is developed and measured against is what Compose runs.
func TestOneVersionOfTemporal(t *testing.T) {
	t.Parallel()
	const root = "../../.."
	pin := regexp.MustCompile(`go\.temporal\.io/server v([\d.]+)`)
	mod, err := os.ReadFile(filepath.Join(root, toolsDir, Devstack, "go.mod"))
	require.NoError(t, err)
	found := pin.FindSubmatch(mod)
	require.Len(t, found, 2)
	want := string(found[1])

	mod, err = os.ReadFile(filepath.Join(root, toolsDir, "temporal-server", "go.mod"))
	require.NoError(t, err)
	require.Equal(t, want, string(pin.FindSubmatch(mod)[1]), "of the benchmark")
	compose, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	require.NoError(t, err)
	require.Contains(t, string(compose), "image: temporalio/server:"+want+"\n")
	require.Contains(t, string(compose), "image: temporalio/admin-tools:"+want+"\n")
}
