package secret

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	soon = 30 * time.Second
	tick = 2 * time.Millisecond
)

// logs is a log that a test can read while it is written.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) count(event string) int {
	return bytes.Count([]byte(l.String()), []byte(`"msg":"`+event+`"`))
}

// logged waits for the line, which is written right after what it tells of.
func (b bundle) logged(t *testing.T, event string, times int) {
	t.Helper()
	require.Eventually(t, func() bool { return b.logs.count(event) >= times }, soon, tick)
	require.Equal(t, times, b.logs.count(event))
}

// bundle is a store with its log.
type bundle struct {
	*Store
	logs *logs
}

// options are what a test sets of a store.
type options struct {
	Getenv                                      func(string) string
	FilePoll, VaultRefresh, AWSRefresh, Timeout time.Duration
}

// setup opens a store. Unless a test sets intervals, nothing is read again
// within the time of a test but files whose change was notified.
func setup(t *testing.T, c options) bundle {
	t.Helper()
	b := bundle{logs: &logs{}}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	b.Store = open(c.Getenv, slog.New(slog.NewJSONHandler(b.logs, nil)), intervals{
		file: cmp.Or(c.FilePoll, time.Hour), vault: cmp.Or(c.VaultRefresh, time.Minute),
		aws: cmp.Or(c.AWSRefresh, 5*time.Minute), read: cmp.Or(c.Timeout, 10*time.Second),
	})
	return b
}

// watch runs Watch to the end of the test.
func (b bundle) watch(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (b bundle) resolve(t *testing.T, ref string) Secret {
	t.Helper()
	s, err := b.Resolve(t.Context(), ref)
	require.NoError(t, err)
	return s
}

// status returns the state of one reference.
func (b bundle) status(ref string) Status {
	for _, st := range b.Status() {
		if st.Ref == ref {
			return st
		}
	}
	return Status{}
}

// metric returns the value of the collector for one reference, -1 if there is none.
func (b bundle) metric(t *testing.T, name, ref string) float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(NewCollector(b.Store)))
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && m.GetLabel()[0].GetValue() == ref {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

func shows(t *testing.T, s Secret, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return s.Reveal() == text }, soon, tick)
}

func (b bundle) fails(t *testing.T, ref string, want bool) {
	t.Helper()
	require.Eventually(t, func() bool { return b.status(ref).Failing == want }, soon, tick)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// replace puts a file in the place of another, as editors do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+"~", text)
	require.NoError(t, os.Rename(path+"~", path))
}

// mount lays out a directory as Kubernetes mounts a Secret: name → ..data/name,
// ..data → a directory of the version. It returns a function that swaps the version.
func mount(t *testing.T, dir, name string) (swap func(version, text string)) {
	t.Helper()
	require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	last := ""
	return func(version, text string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, name), text)
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		if last != "" {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, last)))
		}
		last = version
	}
}
