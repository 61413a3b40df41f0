package gotest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// printed returns what is printed of the events of go test for a module of these files.
func printed(t *testing.T, verbose bool, files map[string]string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}

	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-json", "-vet=off", "-count=1"}, append(flags, "./...")...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	events, _ := cmd.Output()

	var out strings.Builder
	p := NewPrinter(&out, verbose)
	require.NoError(t, p.Print(strings.NewReader(string(events))))
	p.PrintSlowest(2)
	return out.String()
}

func TestPassingPackagesAreOneLineEach(t *testing.T) {
	t.Parallel()
	out := printed(t, false, map[string]string{
		"a/a_test.go": "package a\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Log(\"written\") }\nfunc TestB(t *testing.T) { t.Skip() }",
		"b/b.go":      "package b",
	})

	require.Regexp(t, `(?m)^ok  \texample/a\t[0-9.]+s$`, out)
	require.Regexp(t, `(?m)^\?   \texample/b\t\[no test files\]$`, out)
	require.Regexp(t, `(?m)^The 2 slowest tests:\n +0\.0 s  example/a TestA\n +0\.0 s  example/a TestB\n`, out)
	require.NotContains(t, out, "written")
}

func TestVerboseOutputIsPrintedWhole(t *testing.T) {
	t.Parallel()
	out := printed(t, true, map[string]string{
		"a/a_test.go": "package a\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Log(\"written\") }",
	})

	require.Contains(t, out, "=== RUN   TestA\n")
	require.Contains(t, out, "written")
	require.Contains(t, out, "--- PASS: TestA")
	require.Equal(t, 1, strings.Count(out, "ok  \t"))
}

func TestFailureIsPrintedWhole(t *testing.T) {
	t.Parallel()
	out := printed(t, false, map[string]string{
		"a/a_test.go": "package a\nimport \"testing\"\n" +
			"func TestGood(t *testing.T) { t.Log(\"of the good one\") }\n" +
			"func TestBad(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.Log(\"first\"); t.Error(\"second\") }) }",
	})

	require.Regexp(t, `first\n(.*\n)*.*second\n(.*\n)*.*--- FAIL: TestBad/sub`, out)
	require.Contains(t, out, "--- FAIL: TestBad ")
	require.Regexp(t, `(?m)^FAIL\texample/a\t[0-9.]+s$`, out)
	require.NotContains(t, out, "of the good one")
	require.NotContains(t, out, "=== RUN")
}

func TestPackageThatDoesNotCompileSaysWhy(t *testing.T) {
	t.Parallel()
	out := printed(t, false, map[string]string{"a/a_test.go": "package a\nfunc broken() { undefined() }"})

	require.Contains(t, out, "undefined: undefined")
	require.Contains(t, out, "FAIL\texample/a [build failed]")
}

func TestProgramThatEndsEarlySaysWhatItSaidLast(t *testing.T) {
	t.Parallel()
	out := printed(t, false, map[string]string{
		"a/a_test.go": "package a\nimport \"testing\"\nfunc TestA(t *testing.T) { panic(\"the cause\") }",
		"b/b_test.go": "package b\nimport (\"testing\"; \"os\")\nfunc TestB(t *testing.T) { t.Log(\"before\"); os.Exit(3) }",
		"c/c_test.go": "package c\nimport \"testing\"\nfunc TestC(t *testing.T) { select {} }",
	}, "-timeout=1s")

	require.Contains(t, out, "panic: the cause")
	require.Contains(t, out, "goroutine ")
	require.Contains(t, out, "before")
	require.Contains(t, out, "panic: test timed out after 1s")
}

func TestLinesThatAreNoEventsArePrinted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, NewPrinter(&out, false).Print(strings.NewReader("go: no such tool\n{}\n{\"Action\":\"start\",\"Package\":\"a\"}\n")))
	require.Equal(t, "go: no such tool\n{}\n", out.String())
}
