package compose_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
)

// initialise runs deploy/compose/init.sh for a file and returns what it said.
func initialise(t *testing.T, file string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join(root, "deploy/compose/init.sh"), file)
	cmd.Env = append(os.Environ(), env...)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

// names returns what is in a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestInitMakesEverySecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, ".env")
	said, err := initialise(t, file)
	require.NoError(t, err, said)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.Equal(t, []string{".env"}, names(t, dir))

	env, err := dotenv.Read(file)
	require.NoError(t, err)
	require.Len(t, env, len(filled(t)))
	seen := map[string]bool{}
	for name, value := range env {
		require.GreaterOrEqual(t, len(value), 20, name)
		require.False(t, seen[value], "%s has the secret of another", name)
		require.NotContains(t, said, value, name)
		seen[value] = true
	}

	// The programs accept what it made.
	p, err := load(types.Mapping(env))
	require.NoError(t, err)
	for name, role := range map[string]config.Role{"ingress": config.RoleIngress, "worker": config.RoleWorker} {
		_, err := config.Load(mounted(p.Services[name], "/etc/mailroom/mailroom.yaml"), role, getenv(p.Services[name]))
		require.NoError(t, err, name)
	}
}

func TestInitKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, ".env")
	require.NoError(t, os.WriteFile(file, []byte("MINE=1\n"), 0o600))
	said, err := initialise(t, file)
	require.Error(t, err)
	require.Contains(t, said, "exists and stays as it is")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "MINE=1\n", string(text))

	// A link that leads nowhere is not written through.
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(filepath.Join(dir, "nowhere"), link))
	_, err = initialise(t, link)
	require.Error(t, err)
	require.ElementsMatch(t, []string{".env", "link"}, names(t, dir))
}

// TestOneOfManyInitsWins: what one of them wrote is whole and stays.
func TestOneOfManyInitsWins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, ".env")
	const many = 8
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
		won  int
	)
	for range many {
		wait.Go(func() {
			if _, err := initialise(t, file); err == nil {
				mu.Lock()
				defer mu.Unlock()
				won++
			}
		})
	}
	wait.Wait()
	require.Equal(t, 1, won)
	require.Equal(t, []string{".env"}, names(t, dir))
	env, err := dotenv.Read(file)
	require.NoError(t, err)
	require.Len(t, env, len(filled(t)))
}

// TestInitLeavesNoHalfFile: od writes too little, or fails.
func TestInitLeavesNoHalfFile(t *testing.T) {
	t.Parallel()
	for name, od := range map[string]string{"short": "echo 00", "failing": "exit 1", "dying": "kill $PPID; sleep 1"} {
		dir, bin := t.TempDir(), t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(bin, "od"), []byte("#!/bin/sh\n"+od+"\n"), 0o700))
		said, err := initialise(t, filepath.Join(dir, ".env"), "PATH="+bin+":"+os.Getenv("PATH"))
		require.Error(t, err, name)
		require.Empty(t, names(t, dir), "%s: %s", name, said)
	}

	// A disk that is full after 512 bytes.
	dir := t.TempDir()
	script := filepath.Join(root, "deploy/compose/init.sh")
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `trap '' XFSZ; ulimit -f 1; sh "$1" "$2"`, "sh", script, filepath.Join(dir, ".env")).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "make room")
	require.Len(t, strings.Split(strings.TrimSpace(string(out)), "\n"), 1)
	require.Empty(t, names(t, dir))

	said, err := initialise(t, filepath.Join(t.TempDir(), "missing", ".env"))
	require.Error(t, err)
	require.Contains(t, said, "make it first")
	require.Len(t, strings.Split(strings.TrimSpace(said), "\n"), 1)
}
