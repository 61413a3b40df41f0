package tour

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
)

// ledger answers for the operator API: what it has, in one state.
type ledger struct {
	mu    sync.Mutex
	has   map[string]bool
	state string
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.has[filepath.Base(r.URL.Path)] {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = fmt.Fprintf(w, `{"state":%q}`, l.state)
}

func (l *ledger) set(state string, ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	for _, id := range ids {
		l.has[id] = true
	}
}

// TestSamplesThatWereAcceptedAreNotSentAgain: the next tour after one that was interrupted goes
// on with its samples.
func TestSamplesThatWereAcceptedAreNotSentAgain(t *testing.T) {
	t.Parallel()
	accepted := &ledger{has: map[string]bool{}, state: "processing"}
	server := httptest.NewServer(accepted)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	const mailctl = "#!/bin/sh\necho \"$@\" >> \"$SENT\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mailctl"), []byte(mailctl), 0o700))
	sent := filepath.Join(dir, "sent")
	vars := stack.DevDefaults().With(stack.Vars{"SENT": sent})
	s, err := stack.New(stack.Options{
		Dir: dir, Bin: dir, Vars: vars,
		Ports: stack.Ports{Operator: server.Listener.Addr().(*net.TCPAddr).Port},
	})
	require.NoError(t, err)

	var out bytes.Buffer
	record := filepath.Join(dir, "samples")
	begin := func() *Tour {
		out.Reset()
		tour := New(s, Operator{token: "t"}, &out, process.NewConsole(&out), stack.Caller{}, record)
		require.NoError(t, tour.Begin(t.Context()).Run(t.Context()))
		return tour
	}
	first := begin()
	require.Equal(t, 3, strings.Count(out.String(), " accepted\n"), out.String())
	text, err := os.ReadFile(sent)
	require.NoError(t, err)
	require.Equal(t, 3, bytes.Count(text, []byte("--event-id")))

	// One of them was not accepted before the interruption.
	accepted.set("processing", first.sent[0].id, first.sent[1].id)
	require.NoError(t, os.Remove(sent))
	second := begin()
	require.Equal(t, first.sent[2].id, second.sent[2].id)
	require.Equal(t, 2, strings.Count(out.String(), "was accepted by the last run and goes on"), out.String())
	text, err = os.ReadFile(sent)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(text, []byte("--event-id")))
	require.Contains(t, string(text), first.sent[2].id)

	accepted.set("delivered", first.sent[2].id)
	<-second.rested
	require.NoFileExists(t, record)
}
