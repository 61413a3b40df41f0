package stack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/process"
)

// module writes a module of a program and two packages, one of which imports the other. No
// build cache has them.
func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module example.com/built\n\ngo 1.26.0\n",
		"main.go":     "package main\n\nimport \"example.com/built/a\"\n\nfunc main() { println(a.A) }\n",
		"a/a.go":      "package a\n\nimport \"example.com/built/b\"\n\nconst A = b.B\n",
		"b/b.go":      fmt.Sprintf("package b\n\nconst B = %d\n", time.Now().UnixNano()),
		"other/go.go": "package other\n\nfunc init() { undefined() }\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

// TestProgressCountsWhatIsToDo: packages of go list and of go build are the same, so that the
// percentage ends where the build does.
func TestProgressCountsWhatIsToDo(t *testing.T) {
	t.Parallel()
	dir := module(t)
	b := goBuild{what: "built", dir: dir, out: filepath.Join(dir, "built"), packages: []string{"."}}
	p := &progress{goBuild: b, packages: map[string]bool{}}
	require.Equal(t, "building", p.String())
	p.count(t.Context())
	require.True(t, p.counted)
	require.True(t, p.packages["example.com/built/a"] && p.packages["example.com/built/b"], p.packages)

	require.False(t, p.add("go: downloading example.com/x v1.0.0"))
	require.Equal(t, "downloading modules, 1 so far", p.String())
	all := len(p.packages)
	require.True(t, p.add("example.com/built/b"))
	require.Equal(t, all, len(p.packages))
	require.Contains(t, p.String(), "building, 0 % (0 of ")
	for name := range p.packages {
		if name != "example.com/built/b" {
			require.False(t, p.add(name))
		}
	}
	require.Equal(t, "building, 99 % (linking)", p.String())

	var out bytes.Buffer
	require.NoError(t, b.run(t.Context(), process.NewConsole(&out)))
	require.Regexp(t, `built +built +\d+\.\d s  \(\d+ packages compiled\)\n$`, out.String())
	require.True(t, executable(b.out))

	// What is compiled before the packages are counted counts too.
	late := &progress{goBuild: b, packages: map[string]bool{}}
	late.add("example.com/built/b")
	late.count(t.Context())
	require.Equal(t, map[string]bool{"example.com/built/b": true}, late.packages, "all else is up to date now")
}

// TestAPackageThatEndsInGoIsCounted: the path of nats.go was taken for what a compiler says of a
// file, and no package after it was counted.
func TestAPackageThatEndsInGoIsCounted(t *testing.T) {
	t.Parallel()
	p := &progress{packages: map[string]bool{}}
	p.add("github.com/nats-io/nats.go")
	p.add("github.com/nats-io/nats.go/jetstream")
	require.Equal(t, 2, p.compiled)
	require.Empty(t, p.failures)

	p.add("# example.com/other")
	p.add("other/go.go:3:15: undefined: undefined")
	p.add("example.com/begun/meanwhile")
	require.Equal(t, 3, p.compiled)
	require.Equal(t, []string{"# example.com/other", "other/go.go:3:15: undefined: undefined"}, p.failures)
}

func TestAFailedBuildSaysWhatTheCompilerSays(t *testing.T) {
	t.Parallel()
	dir := module(t)
	err := goBuild{dir: dir, out: filepath.Join(dir, "other.a"), packages: []string{"./other"}}.run(t.Context(), &process.Console{})
	require.ErrorContains(t, err, "undefined: undefined")
	require.False(t, strings.Contains(err.Error(), "exit status"), err)
}

// TestAnInterruptedBuildGoesOn: what was compiled before is not compiled again, and no
// half-written program is left.
func TestAnInterruptedBuildGoesOn(t *testing.T) {
	t.Parallel()
	dir := module(t)
	tool := filepath.Join(dir, "tool")
	// It lets b be compiled, and waits at a, which imports b.
	text := `#!/bin/sh
case "$TOOLEXEC_IMPORTPATH" in example.com/built/a)
	touch "` + dir + `/begun"; while ! test -e "` + dir + `/stop"; do sleep 0.02; done
	exit 1 ;;
esac
exec "$@"
`
	require.NoError(t, os.WriteFile(tool, []byte(text), 0o700))
	b := goBuild{what: "built", dir: dir, out: filepath.Join(dir, "program"), flags: []string{"-toolexec", tool}, packages: []string{"."}}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- b.run(ctx, &process.Console{}) }()
	require.Eventually(t, func() bool { return fileExists(filepath.Join(dir, "begun")) }, 3*soon, tick)
	cancel()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stop"), nil, 0o600))
	require.ErrorIs(t, <-failed, context.Canceled)
	require.NoFileExists(t, b.out)

	require.NoError(t, os.WriteFile(tool, []byte("#!/bin/sh\nexec \"$@\"\n"), 0o700))
	var out bytes.Buffer
	require.NoError(t, b.run(t.Context(), process.NewConsole(&out)))
	require.Contains(t, out.String(), "(2 packages compiled)", "a and the program, not b")
	require.True(t, executable(b.out))
}
