package stack

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// npmPostgres writes what the npm package of PostgreSQL has of a version: its programs run
// only where they find a library that is a link, which an npm package cannot hold.
func npmPostgres(t *testing.T, version, links string) (bin string) {
	t.Helper()
	native := filepath.Join(t.TempDir(), "native")
	program := "#!/bin/sh\ntest \"$(cat \"$LD_LIBRARY_PATH/libpq.so.5\")\" = library && echo 'postgres (PostgreSQL) " + version + "'\n"
	for name, text := range map[string]string{
		"bin/postgres": program, "bin/initdb": program, "lib/libpq.so.5.18": "library\n", "pg-symlinks.json": links,
	} {
		path := filepath.Join(native, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o700))
	}
	return filepath.Join(native, "bin")
}

func TestProgramsOfNpmFindTheirLibraries(t *testing.T) {
	t.Parallel()
	bin := npmPostgres(t, "18.4", `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`)
	for range 2 {
		found, err := findPostgres(t.Context(), "18", bin, Tools{})
		require.NoError(t, err)
		require.Equal(t, bin, found)
	}
	link, err := os.Readlink(filepath.Join(bin, "../lib/libpq.so.5"))
	require.NoError(t, err)
	require.Equal(t, "libpq.so.5.18", link, "it holds when the folder is moved")

	_, err = findPostgres(t.Context(), "15", bin, Tools{})
	require.ErrorContains(t, err, "was made by PostgreSQL 15 and only 18 is here: install 15, or forget the data")
	_, err = findPostgres(t.Context(), "", t.TempDir(), Tools{})
	require.ErrorContains(t, err, "MAILROOM_POSTGRES_BIN=")

	dir := t.TempDir()
	copied, err := copyPrograms(bin, dir)
	require.NoError(t, err)
	for _, path := range []string{dir + "/native", copied, copied + "/postgres"} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o755), info.Mode().Perm(), "%s: PostgreSQL's user must reach it", path)
	}
	require.Equal(t, filepath.Join(dir, "native", "bin"), copied)
	require.NoError(t, os.RemoveAll(filepath.Dir(bin)))
	require.Equal(t, "18", pgMajor(copied))
}

func TestLinksOfNpmStayInThePackage(t *testing.T) {
	t.Parallel()
	bin := npmPostgres(t, "18.4", `[{"source":"native/lib/libpq.so.5.18","target":"../../libpq.so.5"}]`)
	require.ErrorContains(t, makeLinks(bin), "leads outside of its package")
}

// TestAPostgresThatIsTooOldIsNamed: an old one on PATH is not used for a new cluster, and still
// runs the cluster that it has made.
func TestAPostgresThatIsTooOldIsNamed(t *testing.T) {
	t.Parallel()
	bin := npmPostgres(t, "9.6.24", `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`)
	_, err := findPostgres(t.Context(), "", bin, Tools{})
	require.ErrorContains(t, err, "MAILROOM_POSTGRES_BIN="+bin+" is PostgreSQL 9, ")
	require.ErrorContains(t, err, "and Mailroom needs 15 or later: name the folder of such a one, or unset it")
	found, err := findPostgres(t.Context(), "9", bin, Tools{})
	require.NoError(t, err)
	require.Equal(t, bin, found)
}
