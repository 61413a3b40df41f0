package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAdviceIsWhatTheCallerCanType: an installed program once told people to type make.
func TestAdviceIsWhatTheCallerCanType(t *testing.T) {
	t.Parallel()
	installed := Caller{Program: "./mailroom-dev", Flags: "-dir '/a b'"}
	require.Equal(t, "make down CLEAN=1", Caller{}.Forget())
	require.Equal(t, "./mailroom-dev down -clean -dir '/a b'", installed.Forget())

	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, MinIO, "data"), 0o700))
	_, wrong := ChooseStore(dir, "s3", installed)
	_, other := ChooseStore(dir, Versity, installed)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, Versity, "data"), 0o700))
	_, both := ChooseStore(dir, "", installed)
	foreign := filepath.Join(t.TempDir(), "a-file")
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))

	for _, refused := range []struct {
		err    error
		advice string
	}{
		{wrong, "-store is minio or versitygw"},
		{other, "leave -store out, or `./mailroom-dev down -clean -dir '/a b'` forgets all data"},
		{both, "or `./mailroom-dev down -clean -dir '/a b'` forgets all data"},
		{ownFolder(foreign, nil, installed), "./mailroom-dev down -clean -dir '/a b' as root"},
		{noPostgres("15", "", []string{"18"}, Tools{Caller: installed}), "or forget the data (./mailroom-dev down -clean -dir '/a b')"},
		{noPostgres("", "", []string{"14"}, Tools{Caller: installed}), "needs 15 or later: install it"},
		{noPostgres("", "", nil, Tools{Caller: installed}), "install them (Debian: apt-get install postgresql)"},
	} {
		require.ErrorContains(t, refused.err, refused.advice)
		require.NotContains(t, refused.err.Error(), "make down")
		require.NotContains(t, refused.err.Error(), "npm", "nothing is fetched outside of the repository")
	}
}

// TestAShellReadsAWordAsItIs runs a shell with each.
func TestAShellReadsAWordAsItIs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "plain/path-1.0", "a b", "it's", "$HOME `id` \"x\"", "~", "größe/№ 1", "*"} {
		said, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf %s "+ShellWord(text)).Output()
		require.NoError(t, err, text)
		require.Equal(t, text, string(said))
	}
	require.Equal(t, "plain/path-1.0", ShellWord("plain/path-1.0"))
}
