package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asProgram makes the test program run as devstack.
const asProgram = "DEVSTACK_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program is devstack as a process.
type program struct {
	cmd  *exec.Cmd
	text strings.Builder // what it has written
}

// start runs devstack and returns when it has written a line that contains ready.
func start(t *testing.T, ready string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), asProgram+"=1", "S3_ACCESS_KEY="+accessKey, "S3_SECRET_KEY="+secretKey)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = p.cmd.Stdout
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)

	lines := bufio.NewScanner(out)
	for lines.Scan() {
		p.text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), ready) {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p
		}
	}
	require.Fail(t, "devstack ended", p.text.String())
	return nil
}

// kill is kill -9.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// eventually repeats try until it returns nil, for 20 s.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	err := try()
	for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); err = try() {
		<-time.After(20 * time.Millisecond)
	}
	require.NoError(t, err)
}

// freePort returns a port on loopback on which no process listens.
func freePort(t *testing.T) int {
	t.Helper()
	ports, err := freePorts(1)
	require.NoError(t, err)
	return ports[0]
}

func get(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

// TestAMistakeIsOneLine: a wrong call ends with 2, a machine that cannot with 1.
func TestAMistakeIsOneLine(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address(loopback, 0))
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	taken, free := l.Addr().(*net.TCPAddr).Port, fmt.Sprint(freePort(t))
	file := filepath.Join(t.TempDir(), "a-file")
	require.NoError(t, os.WriteFile(file, []byte("no database"), 0o600))
	db := filepath.Join(t.TempDir(), "t.db")
	t.Setenv("S3_ACCESS_KEY", accessKey)
	t.Setenv("S3_SECRET_KEY", secretKey)

	for says, c := range map[string]struct {
		code int
		args []string
	}{
		"a command is missing":                 {exitUsage, nil},
		"there is no command fly":              {exitUsage, []string{"fly"}},
		"flag provided but not defined: -nine": {exitUsage, []string{"temporal", "--nine"}},
		"what is now?":                         {exitUsage, []string{"store", "now"}},
		"--db names the file":                  {exitUsage, []string{"temporal"}},
		"--port and --ui-port must be":         {exitUsage, []string{"temporal", "--db", db, "--port", "99999"}},
		"must be IP addresses":                 {exitUsage, []string{"temporal", "--db", db, "--ip", "localhost"}},
		"--synchronous must be off":            {exitUsage, []string{"temporal", "--db", db, "--synchronous", "no"}},
		"there is no type \"Wrd\"":             {exitUsage, []string{"temporal", "--db", db, "--search-attribute", "A=Wrd"}},
		"more than 10 search attributes":       {exitUsage, append([]string{"temporal", "--db", db, "--port", free}, many("A%d=Keyword")...)},
		"--dir names the folder":               {exitUsage, []string{"store"}},
		fmt.Sprintf("%d: bind: address already in use: stop what", taken): {
			exitFailed, []string{"temporal", "--db", db, "--port", fmt.Sprint(taken)}},
		fmt.Sprintf("%d: bind: address already in use", taken): {
			exitFailed, []string{"store", "--dir", t.TempDir(), "--address", address(loopback, taken)}},
		"a-file/t.db": {exitFailed, []string{"temporal", "--db", file + "/t.db", "--port", free}},
		"a-file cannot be used: file is not a database": {exitFailed, []string{"temporal", "--db", file, "--port", free}},
		"a-file: not a directory":                       {exitFailed, []string{"store", "--dir", file, "--address", address(loopback, freePort(t))}},
	} {
		var stderr strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		require.Equal(t, c.code, exitCode(run(ctx, c.args, io.Discard), &stderr), "%s: %s", says, &stderr)
		cancel()
		require.Contains(t, stderr.String(), says)
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), &stderr)
	}
}

func many(format string) []string {
	var args []string
	for i := range 11 {
		args = append(args, "--search-attribute", fmt.Sprintf(format, i))
	}
	return args
}
