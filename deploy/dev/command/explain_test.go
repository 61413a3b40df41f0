package command

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
)

func TestAnErrorThatAPersonCanCureNamesTheCure(t *testing.T) {
	t.Parallel()
	var caller stack.Caller
	full := fmt.Errorf("write state: %w", syscall.ENOSPC)
	require.Equal(t, "write state: no space left on device: the disk is full: free some space, then run it again: it goes on from here", explain(full, caller))
	inTheWay := &os.PathError{Op: "mkdir", Path: "/x", Err: syscall.ENOTDIR}
	require.Equal(t, "mkdir /x: not a directory: a file is where a folder has to be: move it away, then run it again", explain(inTheWay, caller))
	denied := &os.PathError{Op: "open", Path: "/x/state.json", Err: syscall.EACCES}
	require.Equal(t, "open /x/state.json: permission denied: it cannot be written to: check its owner and rights, then run it again", explain(denied, caller))
	said := errors.New("build devstack: go build: main.go:3:8: example.com/a@v1.0.0: Get \"http://127.0.0.1:1/example.com/a/@v/v1.0.0.zip\": dial tcp 127.0.0.1:1: connect: connection refused\nmain.go:4:8: more")
	require.Regexp(t, `^build devstack: go build: .*connection refused: it cannot be downloaded: check the network and the proxy .*goes on from here$`, explain(said, caller))
	require.NotContains(t, explain(said, caller), "more")
	npm := errors.New("fetch postgres: npm: npm error code EINTEGRITY\nnpm error sha512-a integrity checksum failed")
	require.Contains(t, explain(npm, caller), "fetch postgres: npm: npm error code EINTEGRITY: a download is not the one that")
	stranger := errors.New("minio ended while starting: unknown flag (log: x)")
	require.Equal(t, "minio ended while starting: unknown flag (log: x): if it is the one of PATH, its version may not fit: take it off PATH or update it, then run it again", explain(stranger, caller))
	other := errors.New("connect to postgres: dial tcp 127.0.0.1:5433: connection refused\nagain")
	require.Equal(t, "connect to postgres: dial tcp 127.0.0.1:5433: connection refused; again", explain(other, caller))

	another := errors.New("temporal ended while starting: devstack: temporal: t.db was made by another version of Temporal: remove it")
	require.Contains(t, explain(another, caller), "or `make down CLEAN=1` forgets it")
	require.Contains(t, explain(another, stack.Caller{Program: "npx mailroom"}), "or `npx mailroom down -clean` forgets it")
}

// TestTheFirstCompilationFailsInOneLine runs run.sh with the real go command, in a repository
// of one program that needs a module.
func TestTheFirstCompilationFailsInOneLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		proxy http.HandlerFunc
		files map[string]string
		want  string
	}{
		"no network":        {want: "connection refused: it cannot be downloaded: check the network"},
		"a broken download": {proxy: serveModule("broken"), want: "not a valid zip file: a download broke off: run it again"},
		"another download":  {proxy: serveModule("package need // changed\n"), want: "checksum mismatch: a download is not the one that go.sum"},
		"go is too old": {files: map[string]string{"go.mod": "module example.com/x\n\ngo 9.99\n"},
			want: "requires go >= 9.99 (running go"},
		"no right to write": {files: map[string]string{".dev": "a file"}, want: "cannot be written to: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := "http://127.0.0.1:1"
			if c.proxy != nil {
				server := httptest.NewServer(c.proxy)
				t.Cleanup(server.Close)
				proxy = server.URL
			}
			root := tinyRepository(t, c.files)
			run := exec.CommandContext(t.Context(), "/bin/sh", filepath.Join(root, "deploy", "dev", "run.sh"), "up")
			run.Env = append(os.Environ(), "GOPROXY="+proxy, "GONOSUMDB=*", "GOFLAGS=-modcacherw",
				"GOMODCACHE="+t.TempDir(), "GOTOOLCHAIN=local")
			said, err := run.CombinedOutput()
			require.Error(t, err, string(said))
			_, failure, found := strings.Cut("\n"+string(said), "\nmailroom: ")
			require.True(t, found, string(said))
			require.Contains(t, failure, c.want)
			require.Equal(t, 1, strings.Count(failure, "\n"), string(said))
			require.Equal(t, 1, run.ProcessState.ExitCode())
		})
	}
}

func TestTheFirstCompilationWithoutHomeNamesIt(t *testing.T) {
	t.Parallel()
	root := tinyRepository(t, nil)
	run := exec.CommandContext(t.Context(), "/bin/sh", filepath.Join(root, "deploy", "dev", "run.sh"), "up")
	run.Env = []string{"PATH=" + os.Getenv("PATH"), "GOTOOLCHAIN=local"}
	said, err := run.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(said), "GOPATH is set: HOME is not set: set it to a folder of your own, then run it again\n")
}

// tinyRepository writes run.sh and the least that it compiles.
func tinyRepository(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	all := map[string]string{
		"go.mod": "module example.com/x\n\ngo 1.26.0\n\nrequire example.com/need v1.0.0\n",
		"go.sum": "example.com/need v1.0.0 h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" +
			"example.com/need v1.0.0/go.mod h1:" + hashOf("go.mod", neededMod) + "\n",
		"deploy/dev/main.go":         "package main\n\nimport _ \"example.com/need\"\n\nfunc main() {}\n",
		"ingress/cmd/server/main.go": "package main\n\nfunc main() {}\n",
	}
	for _, name := range []string{"deploy/dev/run.sh", "deploy/dev/command/remedies.txt"} {
		text, err := os.ReadFile(filepath.Join("../../..", name))
		require.NoError(t, err)
		all[name] = string(text)
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}

// neededMod is the go.mod of example.com/need.
const neededMod = "module example.com/need\n"

// hashOf returns what go.sum says of a module of one file.
func hashOf(name, text string) string {
	sum := sha256.Sum256([]byte(text))
	all := sha256.Sum256(fmt.Appendf(nil, "%x  %s\n", sum, name))
	return base64.StdEncoding.EncodeToString(all[:])
}

// serveModule is a module proxy with example.com/need, of one file, or of an archive that broke
// off.
func serveModule(file string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".mod"):
			_, _ = w.Write([]byte(neededMod))
		case strings.HasSuffix(r.URL.Path, ".info"):
			_, _ = w.Write([]byte(`{"Version":"v1.0.0"}`))
		case file == "broken":
			_, _ = w.Write([]byte("PK"))
		default:
			archive := zip.NewWriter(w)
			if entry, err := archive.Create("example.com/need@v1.0.0/need.go"); err == nil {
				_, _ = entry.Write([]byte(file))
			}
			_ = archive.Close()
		}
	}
}
