package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/guard"
	"mailroom/shared/config"
	"mailroom/shared/program"
)

const otherRoutes = withoutSecrets + `
destinations: [{name: d, url: "https://d.example/", secret: {ref: "env:D"}}]
routes: [{name: r, to: [d]}]
`

// served is a process with one role that answers HTTP with the name of its first rule.
type served struct {
	process *process
	reload  chan os.Signal
	address string
	config  string
	logs    *lines
	fail    atomic.Bool // the next run fails
	ended   chan error
}

// lines is what a process has logged.
type lines struct {
	sync.Mutex

	text strings.Builder
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	l.text.Write(p)
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

// until waits for a line with these texts, of those after the first skip bytes, and returns
// how many bytes there are.
func (l *lines) until(t *testing.T, skip int, texts ...string) int {
	t.Helper()
	for {
		l.Lock()
		now := l.text.String()
		l.Unlock()
		for line := range strings.Lines(now[skip:]) {
			all := true
			for _, text := range texts {
				all = all && strings.Contains(line, text)
			}
			if all {
				return len(now)
			}
		}
		select {
		case <-l.more:
		case <-t.Context().Done():
			require.Fail(t, "no such line", "%v in %s", texts, now)
		}
	}
}

// The bounds of what a test waits for.
const (
	patience = 20 * time.Second
	tick     = 10 * time.Millisecond
)

func newServed(t *testing.T, address, path string, env map[string]string) *served {
	t.Helper()
	s := &served{
		reload: make(chan os.Signal), address: address, config: path,
		logs: &lines{more: make(chan struct{}, 1)}, ended: make(chan error, 1),
	}
	s.process = configured(t, "", env)
	s.process.stderr, s.process.reload = s.logs, s.reload
	getenv := s.process.getenv
	s.process.getenv = func(name string) string {
		if name == "MAILROOM_CONFIG" {
			return path
		}
		return getenv(name)
	}
	return s
}

// start runs the process until ctx is done.
func (s *served) start(ctx context.Context) {
	role := server{role: config.RoleIngress, check: func(program.Config) error { return nil }, run: s.run}
	go func() { s.ended <- s.process.serve(ctx, role) }()
}

func (s *served) run(ctx context.Context, c program.Config) error {
	if s.fail.Load() {
		return errors.New("the new one fails")
	}
	ln, err := c.Sockets.Listen(ctx, s.address)
	if err != nil {
		return err
	}
	rule := "none"
	if len(c.File.Routes) > 0 {
		rule = c.File.Routes[0].Name
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, rule) })}
	drainer := guard.NewDrainer(web)
	go func() { _ = drainer.Serve(ln, false) }()
	c.Serving()
	<-ctx.Done()
	return drainer.Shutdown(context.WithoutCancel(ctx))
}

// ask posts once, over a connection of its own.
func ask(address string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Post("http://"+address, "text/plain", http.NoBody) //nolint:noctx // it ends with the test
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// posts posts until stop is closed, and counts answers; any failure is one too many.
func posts(t *testing.T, address string, stop <-chan struct{}) (wait func() int) {
	t.Helper()
	var group sync.WaitGroup
	var answered atomic.Int64
	failed := make(chan error, 4)
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := ask(address); err != nil {
					failed <- err
					return
				}
				answered.Add(1)
			}
		})
	}
	return func() int {
		group.Wait()
		close(failed)
		for err := range failed {
			require.NoError(t, err)
		}
		return int(answered.Load())
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// TestReload: a changed file takes effect without a refused post; one that cannot be used,
// or whose run fails, changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mailroom.yaml")
	write(t, path, withoutSecrets)
	s := newServed(t, freePort(t), path, nil)
	ctx, stop := context.WithCancel(t.Context())
	s.start(ctx)
	at := s.logs.until(t, 0, "ingress.starting")
	require.Eventually(t, func() bool { text, err := ask(s.address); return err == nil && text == "none" }, patience, tick)

	done := make(chan struct{})
	wait := posts(t, s.address, done)
	s.reload <- syscall.SIGHUP
	at = s.logs.until(t, at, `"msg":"config.unchanged"`)

	write(t, path, otherRoutes)
	s.reload <- syscall.SIGHUP
	at = s.logs.until(t, at, `"msg":"config.reloaded"`, `"changed":["destinations","routes"]`)
	text, err := ask(s.address)
	require.NoError(t, err)
	require.Equal(t, "r", text)

	write(t, path, strings.Replace(otherRoutes, "to: [d]", "to: [e]", 1))
	s.reload <- syscall.SIGHUP
	at = s.logs.until(t, at, `"msg":"config.refused"`, `no destination is named \"e\"`, "the configuration before goes on", "variables of the environment")

	s.fail.Store(true)
	write(t, path, strings.Replace(otherRoutes, "name: r", "name: x", 1))
	s.reload <- syscall.SIGHUP
	s.logs.until(t, at, `"msg":"config.refused"`, "the new one fails")
	text, err = ask(s.address)
	require.NoError(t, err)
	require.Equal(t, "r", text)

	close(done)
	require.Positive(t, wait())
	stop()
	require.NoError(t, <-s.ended)
	_, err = ask(s.address)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// TestAProcessTakesOver: a second process takes the sockets of the first, which ends, and
// no post is refused; one that fails leaves the first as it was.
func TestAProcessTakesOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, other := filepath.Join(dir, "one.yaml"), filepath.Join(dir, "two.yaml")
	write(t, path, withoutSecrets)
	write(t, other, otherRoutes)
	env := map[string]string{"MAILROOM_HANDOVER": filepath.Join(dir, "handover")}
	first := newServed(t, freePort(t), path, env)
	first.start(t.Context())
	require.Eventually(t, func() bool { _, err := os.Stat(env["MAILROOM_HANDOVER"]); return err == nil }, patience, tick)

	done := make(chan struct{})
	wait := posts(t, first.address, done)
	broken := newServed(t, first.address, other, env)
	broken.fail.Store(true)
	broken.start(t.Context())
	require.ErrorContains(t, <-broken.ended, "the new one fails")
	first.logs.until(t, 0, "handover.abandoned")

	second := newServed(t, first.address, other, env)
	ctx, stop := context.WithCancel(t.Context())
	second.start(ctx)
	require.NoError(t, <-first.ended)
	first.logs.until(t, 0, "handover.done")
	for range 20 {
		text, err := ask(first.address)
		require.NoError(t, err)
		require.Equal(t, "r", text)
	}

	close(done)
	require.Positive(t, wait())
	stop()
	require.NoError(t, <-second.ended)
}
