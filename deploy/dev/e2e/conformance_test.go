package e2e_test

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/signing"
	"mailroom/shared/testenv"
)

// TestReceiver is the conformance suite of a webhook receiver, over sockets and
// against the running programs. The cases share a world and follow each other,
// because some of them end the ingress.
func TestReceiver(t *testing.T) {
	t.Parallel()
	w, g := newGatedWorld(t, nil)
	old := newID()
	w.accept(shapeA(old, "support").json())
	w.once(old)
	w.forget(old) // which is done when its case comes
	cases := []struct {
		name string
		run  func(*world)
	}{
		{"valid", (*world).receivesValid},
		{"duplicate in sequence", (*world).receivesTwice},
		{"duplicates at a barrier", (*world).receivesAtOnce},
		{"reordered", (*world).receivesReordered},
		{"timeout then retry", func(w *world) { w.receivesAfterTimeout(g) }},
		{"unsigned and badly signed", (*world).refusesBadSignatures},
		{"signed and malformed", (*world).refusesMalformed},
		{"restart between attempts", func(w *world) { w.receivesAfterRestart(g) }},
		{"killed before storing", func(w *world) { w.crash(g, beforeStoring) }},
		{"killed between storing and starting", func(w *world) { w.crash(g, afterStoring) }},
		{"killed after starting", func(w *world) { w.crash(g, afterStarting) }},
		{"killed between starting and answering", func(w *world) { w.crash(g, afterStartingInstead) }},
		{"copies after the end", (*world).copiesAfterEnd},
		{"copies after retention", func(w *world) { w.copiesAfterRetention(g, old) }},
		{"copies by different ways", func(w *world) { w.copiesByWays(g) }},
		{"conflicts by different ways", func(w *world) { w.conflictsByWays(g) }},
		{"nothing leaks", (*world).leaksNothing},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			defer g.open()
			require.NoError(t, w.Start(t.Context(), stack.Ingress), "whatever the case before has left")
			c.run(w.in(t))
		})
	}
}

// once waits for the end of an email and sees that it had its effect once.
func (w *world) once(id string) {
	w.t.Helper()
	w.until(id, "delivered")
	require.Equal(w.t, map[string]int{"/tickets": 1}, w.effects(id))
}

func (w *world) receivesValid() {
	id := newID()
	require.Equal(w.t, answer{Status: http.StatusOK, OK: true, ID: id}, w.post(shapeA(id, "support").json()))
	w.once(id)
}

func (w *world) receivesTwice() {
	id := newID()
	body := shapeB(id, "support").json()
	require.False(w.t, w.post(body).Duplicate)
	require.Equal(w.t, answer{Status: http.StatusOK, OK: true, ID: id, Duplicate: true}, w.post(body))
	w.once(id)
}

func (w *world) receivesAtOnce() {
	id := newID()
	before := w.duplicates()
	fresh := w.copiesAtOnce(shapeA(id, "support").json(), 50)
	require.Equal(w.t, 1, fresh, "of fifty copies one is the first")
	require.Equal(w.t, before+49, w.duplicates())
	w.once(id)
}

// tryAgain posts a body as a provider does, who comes again when told to: a machine full
// of other tests may have no place for it in time.
func (w *world) tryAgain(body []byte) (a answer, err error) {
	for end := time.Now().Add(patience); ; <-time.After(5 * tick) {
		a, err = w.tryPost(body)
		if err != nil || a.Status != http.StatusServiceUnavailable || time.Now().After(end) {
			return a, err
		}
	}
}

// copiesAtOnce posts so many copies of a body at the same time; all must be accepted. It
// returns how many were the first.
func (w *world) copiesAtOnce(body []byte, copies int) (fresh int) {
	w.t.Helper()
	answers, failures := make([]answer, copies), make([]error, copies)
	var group sync.WaitGroup
	barrier := make(chan struct{})
	for i := range copies {
		group.Go(func() {
			<-barrier
			answers[i], failures[i] = w.tryAgain(body)
		})
	}
	close(barrier)
	group.Wait()
	for i, a := range answers {
		require.NoError(w.t, failures[i])
		require.Equal(w.t, http.StatusOK, a.Status, a.Error)
		if !a.Duplicate {
			fresh++
		}
	}
	return fresh
}

// receivesReordered: what was signed first comes last.
func (w *world) receivesReordered() {
	ids := []string{newID(), newID(), newID()}
	now := time.Now()
	for i, id := range ids {
		body := shapeA(id, "support").with(fields{"timestamp": now.Add(-time.Duration(i) * time.Minute).UTC().Format(time.RFC3339)}).json()
		a, err := w.call(w.t.Context(), body, signed(webhookSecret, now.Add(-time.Duration(i)*time.Minute), body))
		require.NoError(w.t, err)
		require.Equal(w.t, answer{Status: http.StatusOK, OK: true, ID: id}, a)
	}
	for _, id := range ids {
		w.once(id)
	}
}

// receivesAfterTimeout: the sender gives up before anything has answered, and what
// it sent may be stored all the same.
func (w *world) receivesAfterTimeout(g gates) {
	id := newID()
	body := shapeA(id, "support").json()
	g.postgres.set(hang)
	g.temporal.set(hang)
	ctx, cancel := context.WithTimeout(w.t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := w.call(ctx, body, nil)
	require.ErrorIs(w.t, err, context.DeadlineExceeded)
	g.open()
	w.retry(body)
	w.once(id)
}

// retry posts until the answer is 2xx, as a provider does, and returns it.
func (w *world) retry(body []byte) answer {
	w.t.Helper()
	var a answer
	testenv.Eventually(w.t, func() bool {
		var err error
		a, err = w.tryPost(body)
		return err == nil && a.Status == http.StatusOK
	}, patience, tick)
	return a
}

func (w *world) refusesBadSignatures() {
	set := func(name, value string) func(http.Header, []byte) {
		return func(h http.Header, _ []byte) { h.Set(name, value) }
	}
	at := func(d time.Duration) func(http.Header, []byte) {
		return func(h http.Header, body []byte) { signed(webhookSecret, time.Now().Add(d), body)(h) }
	}
	forged := map[string]bool{}
	for name, change := range map[string]func(http.Header, []byte){
		"missing":      func(h http.Header, _ []byte) { h.Del(signing.SignatureHeader) },
		"no timestamp": func(h http.Header, _ []byte) { h.Del(signing.TimestampHeader) },
		"malformed":    set(signing.SignatureHeader, "not hexadecimal"),
		"short":        set(signing.SignatureHeader, "abcd"),
		"foreign key":  func(h http.Header, body []byte) { signed("another key", time.Now(), body)(h) },
		"empty key":    func(h http.Header, body []byte) { signed("", time.Now(), body)(h) },
		"stale":        at(-6 * time.Minute),
		"future":       at(6 * time.Minute),
		"stamp moved":  set(signing.TimestampHeader, strconv.FormatInt(time.Now().Unix()-1, 10)),
		"altered":      func(h http.Header, body []byte) { signed(webhookSecret, time.Now(), append([]byte(" "), body...))(h) },
		"compacted": func(h http.Header, body []byte) {
			signed(webhookSecret, time.Now(), bytes.ReplaceAll(body, []byte(`":`), []byte(`": `)))(h)
		},
	} {
		id := newID()
		forged[id] = true
		body := shapeA(id, "support").json()
		a, err := w.call(w.t.Context(), body, func(h http.Header) { change(h, body) })
		require.NoError(w.t, err, name)
		require.Equal(w.t, http.StatusUnauthorized, a.Status, name)
		require.Empty(w.t, a.ID, name)
		// Right afterwards the same id, with another signature that is wrong, tells no more.
		again, err := w.call(w.t.Context(), body, func(h http.Header) { change(h, body) })
		require.NoError(w.t, err, name)
		require.Equal(w.t, a, again, name)
	}
	w.nothingOf(forged)
}

func (w *world) refusesMalformed() {
	refused := map[string]bool{}
	for name, body := range map[string]func(id string) string{
		"cut":          func(id string) string { return `{"event_id":"` + id + `","recipient":["support@yourapp.ex` },
		"an array":     func(id string) string { return `["` + id + `"]` },
		"two ids":      func(id string) string { return `{"event_id":"` + id + `","event_id":"other"}` },
		"not UTF-8":    func(id string) string { return "{\"event_id\":\"" + id + "\",\"subject\":\"\xff\"}" },
		"no id at all": func(id string) string { return `{"subject":"` + id + `"}` },
	} {
		id := newID()
		refused[id] = true
		a, err := w.tryPost([]byte(body(id)))
		require.NoError(w.t, err, name)
		require.Equal(w.t, http.StatusBadRequest, a.Status, name)
	}
	w.nothingOf(refused)
}

// receivesAfterRestart: the first attempt was refused by one process, the second is
// taken by the next.
func (w *world) receivesAfterRestart(g gates) {
	id := newID()
	body := shapeA(id, "support").json()
	g.postgres.set(refuse)
	g.temporal.set(refuse)
	a := w.post(body)
	require.Equal(w.t, http.StatusServiceUnavailable, a.Status)
	require.NotEmpty(w.t, a.RetryAfter)
	g.open()
	require.NoError(w.t, w.Restart(w.t.Context(), stack.Ingress))
	require.False(w.t, w.post(body).Duplicate, "a refused attempt leaves nothing")
	w.once(id)
}

// crashPoint is how far an email has come when the ingress that takes it is killed.
type crashPoint int

const (
	beforeStoring        crashPoint = iota // verified, and nothing durable yet
	afterStoring                           // committed, neither answered nor started
	afterStarting                          // Temporal has it, and the inbox does not know yet
	afterStartingInstead                   // Temporal has it because the database is unavailable, and nothing is answered
)

// crash kills the ingress at one point while it takes an email, and sends that again to
// the next one. The gate that the email passes then says when the point is reached.
func (w *world) crash(g gates, at crashPoint) {
	id := newID()
	body := shapeA(id, "support").json()
	var reached *trap
	switch at {
	case beforeStoring:
		reached = g.postgres.catch(id, false)
	case afterStoring:
		reached = g.postgres.catch(id, true)
	case afterStarting:
		reached = g.temporal.catch(id, true)
	case afterStartingInstead:
		g.postgres.set(refuse)
		reached = g.temporal.catch(id, true)
	}

	type result struct {
		answer answer
		err    error
	}
	posted := make(chan result, 1)
	go func() {
		a, err := w.tryPost(body)
		posted <- result{a, err}
	}()
	var caught *pair
	select {
	case caught = <-reached.caught:
	case <-time.After(patience):
		require.FailNow(w.t, "the request does not come to the gate")
	}
	rows := func() int { return w.count(`SELECT count(*) FROM emails WHERE event_id = $1`, id) }
	missing := func() error {
		_, err := w.tc.DescribeWorkflowExecution(w.t.Context(), id, "")
		return err
	}
	switch at {
	case beforeStoring:
	case afterStoring:
		testenv.Eventually(w.t, func() bool { return rows() == 1 }, patience, tick, "it is committed")
	default:
		testenv.Eventually(w.t, func() bool { return missing() == nil }, patience, tick, "it is started")
	}
	require.NoError(w.t, w.Kill(stack.Ingress))
	caught.cut()
	first := <-posted

	switch at {
	case beforeStoring:
		require.Error(w.t, first.err, "nothing is answered")
		require.Zero(w.t, rows())
		requireNoWorkflow(w.t, missing())
	case afterStoring:
		require.Error(w.t, first.err, "nothing is answered")
		require.Equal(w.t, 1, rows())
		requireNoWorkflow(w.t, missing())
	case afterStarting:
		require.NoError(w.t, first.err)
		require.Equal(w.t, http.StatusOK, first.answer.Status, "it was durable")
		require.Equal(w.t, 1, rows())
	case afterStartingInstead:
		require.Error(w.t, first.err, "nothing is answered")
		require.Zero(w.t, rows())
	}

	g.open()
	require.NoError(w.t, w.Start(w.t.Context(), stack.Ingress))
	again := w.retry(body)
	switch at {
	case beforeStoring:
		require.False(w.t, again.Duplicate)
	case afterStoring, afterStarting:
		require.True(w.t, again.Duplicate)
	}
	w.once(id)
}

func requireNoWorkflow(t *testing.T, err error) {
	t.Helper()
	var gone *serviceerror.NotFound
	require.ErrorAs(t, err, &gone)
}

// leaksNothing comes last: what all the cases before have written.
func (w *world) leaksNothing() {
	for _, program := range []string{stack.Ingress, stack.Worker} {
		for _, text := range w.logs(program) {
			clean(w.t, program+" log", text)
			require.NotContains(w.t, strings.ToLower(string(text)), strings.ToLower(signing.SignatureHeader))
		}
		clean(w.t, program+" metrics", []byte(w.metrics(program)))
	}
}
