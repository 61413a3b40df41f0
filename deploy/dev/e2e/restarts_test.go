package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// another prepares a second ingress of this world, which is not started yet.
func (w *world) another(t *testing.T, edit func(*stack.Options)) *stack.Stack {
	t.Helper()
	free, err := stack.FreePorts()
	require.NoError(t, err)
	o := w.options
	o.Dir, o.Services = testenv.Dir(t), []string{stack.Ingress}
	o.Ports.Ingress, o.Ports.Operator, o.Ports.IngressMetrics = free.Ingress, free.Operator, free.IngressMetrics
	if edit != nil {
		edit(&o)
	}
	st, err := stack.New(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := st.Down(context.Background())
		require.NoError(t, err)
	})
	return st
}

// TestStreamThroughRestarts ends ingresses in every way in the middle of a stream,
// and changes the secret under it.
func TestStreamThroughRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	current, previous := filepath.Join(dir, "current"), filepath.Join(dir, "previous")
	replace(t, current, webhookSecret)
	replace(t, previous, "retired-long-ago")
	w, g := newGatedWorld(t, func(s *settings) {
		s.Secrets = fmt.Sprintf(`{ref: "file:%s"}, {ref: "file:%s", expires: %s}`, current, previous,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	s := startStream(t, w)
	s.flows(t, 5)
	for _, end := range []struct {
		name string
		how  func(string) error
	}{{"terminated", w.Stop}, {"killed", w.Kill}, {"killed-again", w.Kill}} {
		t.Run(end.name, func(t *testing.T) {
			s.enter(end.name)
			s.flows(t, 10)
			require.NoError(t, end.how(stack.Ingress))
			require.NoError(t, w.Start(t.Context(), stack.Ingress))
			s.enter("after-" + end.name)
			s.flows(t, 10)
		})
	}
	t.Run("another takes over", func(t *testing.T) { takeOver(t, w, g, s) })
	t.Run("rotation", func(t *testing.T) { rotate(t, w, s, current, previous) })
	t.Run("audit", s.audit)
}

// takeOver kills an ingress that has accepted emails and started none of them.
func takeOver(t *testing.T, w *world, g gates, s *stream) {
	defer g.open()
	second := w.another(t, nil)
	require.NoError(t, second.Start(t.Context(), stack.Ingress))
	g.temporal.set(refuse)
	s.aim(second.IngressURL())
	waiting := func() int {
		return w.count(`SELECT count(*) FROM inbox JOIN emails ON emails.id = inbox.email_id
			WHERE started_at IS NULL AND event_id LIKE 'orphans%'`)
	}
	s.enter("orphans")
	testenv.Eventually(t, func() bool { return waiting() >= 15 }, patience, tick, "they are accepted and wait")
	s.enter("after-orphans")
	s.aim(w.IngressURL())
	require.NoError(t, second.Kill(stack.Ingress))
	g.temporal.set(pass)
	began := time.Now()
	testenv.Eventually(t, func() bool { return waiting() == 0 }, patience, tick, "the other one starts them")
	require.Less(t, time.Since(began), 30*time.Second, "progress within 30 s")
	s.flows(t, 10)
}

// rotate brings in a new secret while the old one still counts for a while.
func rotate(t *testing.T, w *world, s *stream, current, previous string) {
	s.enter("rotation")
	s.flows(t, 5)
	replace(t, previous, webhookSecret)
	replace(t, current, rotatedSecret)
	s.until(t, rotatedSecret, http.StatusOK)
	s.flows(t, s.accepted("rotation")+10) // still with the old one
	s.sign(rotatedSecret)
	s.enter("after-rotation")
	s.flows(t, 20)
	for _, phase := range []string{"rotation", "after-rotation"} {
		for _, one := range s.within(phase) {
			require.Equal(t, http.StatusOK, one.status, one.id)
		}
	}
	require.NotEmpty(t, metricOf(w, stack.Ingress,
		`mailroom_verifications_total{key="2",result="ok",scheme="timestamp-hmac",source="mailparse"}`), "the old one was seen in use")
	replace(t, previous, "retired-again")
	s.until(t, webhookSecret, http.StatusUnauthorized)
}

// until sends emails under a secret, each once, until one gets that status.
func (s *stream) until(t *testing.T, secret string, status int) {
	t.Helper()
	testenv.Eventually(t, func() bool {
		id := "probe_" + newID()
		s.noteError(s.journal.write("send %s", id))
		body := shapeA(id, "support").json()
		a, err := s.w.call(context.Background(), body, signed(secret, time.Now(), body))
		s.noteError(s.journal.write("status %s %d", id, a.Status))
		return err == nil && a.Status == status
	}, patience, tick, "no answer %d", status)
}

// replace writes a file in one step, as a rotation of secrets does.
func replace(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}
