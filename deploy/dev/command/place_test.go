package command

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
	"mailroom/shared/config"
)

func TestAnInstalledProgramNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	bin, dir := t.TempDir(), filepath.Join(t.TempDir(), "data")
	_, err := installedAt(bin, dir, nil, nil)
	require.ErrorContains(t, err, bin+" has no mailroom, mailctl, sink, devstack: ")
	for _, name := range append(stack.ProgramNames(), stack.Devstack) {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), nil, 0o700))
	}

	text, err := os.ReadFile("../mailroom.yaml")
	require.NoError(t, err)
	p, err := installedAt(bin, dir, []string{"OPERATOR_TOKEN=mine"}, text)
	require.NoError(t, err)
	require.Equal(t, "mine", p.vars.Get("OPERATOR_TOKEN"))
	require.Equal(t, stack.DevDefaults().Get("WEBHOOK_SECRET"), p.vars.Get("WEBHOOK_SECRET"))

	path, file, err := p.config("")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, builtInConfig), path)
	require.Len(t, file.Routes, 2)
	// Without clamd it is copied, as the file of the repository is.
	var out bytes.Buffer
	made, err := p.scannerConfig(path, file, scanning{}, process.NewConsole(&out))
	require.NoError(t, err)
	require.NoError(t, made.write())
	got, err := config.Load(made.path, config.RoleAll, p.vars.Get)
	require.NoError(t, err)
	require.True(t, got.Scanner.BuiltIn)

	options, err := p.options(t.Context(), path, &process.Console{})
	require.NoError(t, err)
	require.Equal(t, bin, options.Bin)
	require.Empty(t, options.Root, "nothing is built")
}

// TestTwoStartsWithDifferentStores: the second waits for the first, and is refused because the
// objects of the first are not in its store.
func TestTwoStartsWithDifferentStores(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../mailroom.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	p := place{dir: dir, bin: dir, builtIn: text, vars: stack.DevDefaults(), store: stack.Versity, caller: stack.Caller{Program: "mailroom-dev"}}
	first, err := open(t.Context(), p, "", (*stack.Stack).UseConfig, &bytes.Buffer{})
	require.NoError(t, err)

	p.store = stack.MinIO
	second := make(chan error, 1)
	go func() {
		_, err := open(t.Context(), p, "", (*stack.Stack).UseConfig, &bytes.Buffer{})
		second <- err
	}()
	select {
	case err := <-second:
		require.Fail(t, "the second start did not wait", "%v", err)
	case <-time.After(time.Second):
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, stack.Versity, "objects"), 0o700)) // as its store does
	first.unlock()
	require.EqualError(t, <-second, "versitygw keeps the objects of this stack, and minio would not find them: leave -store out, or `mailroom-dev down -clean` forgets all data")
}

// TestAFolderWithoutAStackIsNamed: in another folder than that of the start, down once said that
// nothing ran, and left an empty data folder.
func TestAFolderWithoutAStackIsNamed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	var out bytes.Buffer
	require.NoError(t, down(t.Context(), place{dir: dir}, true, &out))
	require.Contains(t, out.String(), "no stack was started with its data in "+dir+": change to the folder")
	code, err := status(t.Context(), place{dir: dir}, &out)
	require.Equal(t, exitFailed, code)
	require.ErrorContains(t, err, "no stack was started with its data in "+dir)
	require.NoDirExists(t, dir)
}

func TestACallerIsToldHowItCalled(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	require.Equal(t, stack.Caller{Program: "./mailroom-dev", Mailctl: "'/opt/mail room/mailctl'", Flags: "-dir 'my data'"},
		installedCaller("./mailroom-dev", "/opt/mail room", "my data", none))
	npx := func(name string) string { return map[string]string{calledAs: "npx mailroom"}[name] }
	require.Equal(t, stack.Caller{Program: "npx mailroom", Mailctl: "npx mailroom mailctl"},
		installedCaller("/a/bin/mailroom-dev", "/a/bin", "", npx))
	p, err := placeAt(t.TempDir(), nil)
	require.NoError(t, err)
	require.Equal(t, stack.Caller{Mailctl: ".dev/bin/mailctl"}, p.caller)
}

// TestMinIOOfAnInstalledStackIsThatOfThePath: it cannot be built there.
func TestMinIOOfAnInstalledStackIsThatOfThePath(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p := place{dir: t.TempDir(), store: stack.MinIO, vars: stack.DevDefaults(), caller: stack.Caller{Program: "mailroom-dev"}}
	_, err := p.options(t.Context(), "", &process.Console{})
	require.ErrorContains(t, err, "minio is not on PATH: install it, or start a new stack without -store minio (mailroom-dev down -clean forgets all data)")
}

func TestTheRepositoryIsFoundFromWithin(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	require.NoError(t, err)
	root := repository(here)
	require.Equal(t, filepath.Dir(filepath.Dir(filepath.Dir(here))), root)
	require.Empty(t, repository(t.TempDir()))
}

func TestAWrongAddressToListenOnIsNamed(t *testing.T) {
	t.Parallel()
	var out, failure bytes.Buffer
	require.Equal(t, exitFailed, Run([]string{"up", "-listen", "everywhere"}, nil, &out, &failure))
	require.Equal(t, "mailroom: -listen everywhere is no IP address: 127.0.0.1 serves this machine alone, 0.0.0.0 every network\n", failure.String())
}

// TestARefusedStartIsNotLocked: a second one is refused for the same reason, and does not wait.
func TestARefusedStartIsNotLocked(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../mailroom.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	p := place{dir: dir, bin: dir, builtIn: text, vars: stack.DevDefaults(), store: "s3"}
	for range 2 {
		_, err := open(t.Context(), p, "", (*stack.Stack).UseConfig, &bytes.Buffer{})
		require.ErrorContains(t, err, "there is no object store s3: STORE is minio or versitygw")
	}
}
