package stack

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheIngressStartsWhileTemporalIsMissing: each of these services waits for one that an
// order by waves would start later.
func TestTheIngressStartsWhileTemporalIsMissing(t *testing.T) {
	dir := t.TempDir()
	s, err := New(Options{Dir: dir, Bin: dir, Vars: Vars{"PATH": os.Getenv("PATH")}})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = s.Down(context.Background()) })

	const migrated = "#!/bin/sh\ntouch migrated\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, server), []byte(migrated), 0o700))
	t.Chdir(dir)
	until := func(file string) string { return "while ! test -e " + file + "; do sleep 0.02; done; " + good }
	for _, name := range []string{Postgres, Clamd, MinIO} {
		s.services = append(s.services, script(s, name, good))
	}
	s.services = append(s.services,
		script(s, Temporal, until("accepted")),
		script(s, Ingress, "test -e migrated && test -e postgres.ready || exit 1; "+good),
		script(s, Worker, "test -e temporal.ready && test -e sink.ready || exit 1; "+good),
		script(s, Sink, good),
	)

	sample := Step{Name: "sample", Needs: []string{Ingress}, Run: func(context.Context) error {
		return os.WriteFile("accepted", nil, 0o600)
	}}
	require.NoError(t, s.Up(t.Context(), sample))
	require.True(t, s.Alive(Worker))
}

func TestAFailedStepEndsWhatWaitsForIt(t *testing.T) {
	t.Parallel()
	failed, ran := errors.New("no space"), false
	err := runSteps(t.Context(), []Step{
		{"a", []string{"b", "elsewhere"}, func(context.Context) error { ran = true; return nil }},
		{"b", nil, func(context.Context) error { return failed }},
		{"c", nil, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
	})
	require.Equal(t, failed, err)
	require.False(t, ran)
}

// TestAnIngressWithoutTemporalIsNotEnough: it accepts email, and nothing is processed yet.
func TestAnIngressWithoutTemporalIsNotEnough(t *testing.T) {
	t.Parallel()
	answers := []string{`{"ok":true,"status":"degraded"}`, `{"ok":true,"status":"degraded"}`, `{"ok":true,"status":"ready"}`}
	asked := 0
	ingress := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, answers[min(asked, len(answers)-1)])
		asked++
	}))
	t.Cleanup(ingress.Close)

	s, err := New(Options{Dir: t.TempDir(), Ports: Ports{Ingress: ingress.Listener.Addr().(*net.TCPAddr).Port}})
	require.NoError(t, err)
	require.NoError(t, s.awaitProcessing(t.Context()))
	require.Equal(t, len(answers), asked)

	answers = answers[:1]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, s.awaitProcessing(ctx), "the ingress does not reach all it needs")
}
