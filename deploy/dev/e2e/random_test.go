package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// seedVariable repeats a schedule. The test command hides such variables of its
// caller: deploy/dev/run.sh test -- env MAILROOM_E2E_SEED=1 go test ….
const seedVariable = "MAILROOM_E2E_SEED"

// startAgain is what a supervisor waits before it starts again what did not stay.
const startAgain = 200 * time.Millisecond

// pause waits, and reports whether ctx lets the caller go on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// TestRandom lets programs die and services fail as a seed wills it, beneath a
// stream of letters, copies, conflicts and forgeries. Whatever the order: each body
// that was answered 2xx is in the ledger once and at its end, and each id has had
// its effect once.
func TestRandom(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("%s=%d", seedVariable, seed)
	plan := newSchedule(seed)
	t.Logf("spells %v, endings %v", plan.spells, plan.endings)
	w, g := newGatedWorld(t, nil)
	run := &randomRun{w: w, gates: g, plan: plan, began: time.Now(), posted: map[string]posted{}}
	run.stream = &stream{
		w: w, journal: newJournal(t), name: "random", secret: webhookSecret, url: w.IngressURL(), cancel: func() {},
		client: &http.Client{Timeout: streamGiveUp, Transport: &http.Transport{MaxIdleConnsPerHost: streamers}},
	}
	t.Cleanup(run.stream.client.CloseIdleConnections)
	run.everything(t)
	run.audit(t)
}

// randomRun is one schedule on its way.
type randomRun struct {
	w      *world
	gates  gates
	plan   schedule
	stream *stream
	began  time.Time

	mu     sync.Mutex
	logs   map[string][]byte // of the runs that ended, by program
	posted map[string]posted // by what the journal calls them
}

// posted is a body under an id.
type posted struct{ id, sum, text string }

// everything happens side by side; at its end all services are there, the programs
// run, and all that was begun has been sent.
func (r *randomRun) everything(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	lanes, ctx := errgroup.WithContext(ctx)
	for program, list := range r.plan.endings {
		lanes.Go(func() error { return r.end(ctx, program, list) })
	}
	lanes.Go(func() error { r.fail(ctx); return nil })
	lanes.Go(func() error { pause(ctx, randomLasts); return nil })
	writing, enough := context.WithCancel(ctx)
	r.stream.senders.Go(func() { r.write(writing) })
	err := lanes.Wait()
	enough()
	r.gates.open()
	t.Logf("the schedule took %s", time.Since(r.began))
	r.stream.stop(t)
	require.NoError(t, err)
}

// end ends a program again and again, and starts it as a supervisor does: until it
// stays, however often it finds no database.
func (r *randomRun) end(ctx context.Context, program string, list []ending) error {
	for _, e := range list {
		how := r.w.Stop
		if e.killed {
			how = r.w.Kill
		}
		if !pause(ctx, e.pause) {
			return ctx.Err()
		}
		if err := how(program); err != nil {
			return err
		}
		if !pause(ctx, e.down) {
			return ctx.Err()
		}
		for {
			if err := r.keepLog(program); err != nil {
				return err
			}
			err := r.w.Start(ctx, program)
			if err == nil {
				break
			}
			if !pause(ctx, startAgain) {
				return errors.Join(ctx.Err(), err)
			}
		}
	}
	return nil
}

// keepLog keeps what a program has written; its next run begins a new file.
func (r *randomRun) keepLog(program string) error {
	text, err := os.ReadFile(r.w.LogFile(program))
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.logs == nil {
		r.logs = map[string][]byte{}
	}
	r.logs[program] = append(r.logs[program], text...)
	return nil
}

// fail makes services unavailable for a while.
func (r *randomRun) fail(ctx context.Context) {
	defer r.gates.open()
	all := map[string]*gate{"postgres": r.gates.postgres, "temporal": r.gates.temporal, "minio": r.gates.minio}
	for _, one := range r.plan.spells {
		pause(ctx, one.pause)
		for service, m := range one.modes {
			all[service].set(m)
		}
		pause(ctx, one.lasts)
		r.gates.open()
	}
}

// write sends one letter after the other.
func (r *randomRun) write(ctx context.Context) {
	for n := 0; ; n++ {
		l, chance := r.plan.letter(n)
		id := fmt.Sprintf("random_%d_%s", n, newID())
		bodies, names := make([][]byte, len(l.sizes)), make([]string, len(l.sizes))
		for i, size := range l.sizes {
			noise := make([]byte, size/2)
			for j := range noise {
				noise[j] = byte(chance.UintN(256))
			}
			text := canaryText + hex.EncodeToString(noise)
			bodies[i] = shapeA(id, "support").with(fields{"text": text, "html": ""}).json()
			sum := sha256.Sum256(bodies[i])
			p := posted{id: id, sum: hex.EncodeToString(sum[:]), text: text}
			names[i] = id + "#" + p.sum
			r.mu.Lock()
			r.posted[names[i]] = p
			r.mu.Unlock()
		}
		for _, s := range l.sendings {
			r.stream.senders.Go(func() { r.send(names[s.body], bodies[s.body], s) })
		}
		if !pause(ctx, between(chance, 40, 200)) {
			return
		}
	}
}

// send repeats a body as providers do: not after an answer that refuses it for good.
func (r *randomRun) send(name string, body []byte, s sending) {
	<-time.After(s.after)
	if s.forged {
		r.stream.noteError(r.stream.journal.write("forge %s", name))
		r.stream.post(name, body, true)
		return
	}
	r.stream.noteError(r.stream.journal.write("send %s", name))
	for range streamTries {
		status := r.stream.post(name, body, false)
		r.stream.noteError(r.stream.journal.write("status %s %d", name, status))
		switch {
		case status/100 == 2:
			return
		case status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
			r.stream.noteError(fmt.Errorf("%s is refused for good: %d", name, status))
			return
		}
		<-time.After(streamPause)
	}
}

// entry is what the ledger says of one body.
type entry struct {
	Event, Sum, Workflow, State, Reason string
	Later                               bool // another body came first under the id
}

// entries reads the ledger past the programs, by what the journal calls them.
func (w *world) entries() map[string][]entry {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	rows, err := w.db.Query(ctx, `SELECT event_id, encode(body_sha256, 'hex'), workflow_id, state, reason, conflict_of IS NOT NULL FROM emails`)
	require.NoError(w.t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entry])
	require.NoError(w.t, err)
	out := map[string][]entry{}
	for _, e := range list {
		out[e.Event+"#"+e.Sum] = append(out[e.Event+"#"+e.Sum], e)
	}
	return out
}

// audit compares what the sender knows with what is there.
func (r *randomRun) audit(t *testing.T) {
	w := r.w.in(t)
	known, forged, ids := r.stream.journal.read(t), map[string]bool{}, map[string]bool{}
	for name, k := range known {
		if k.forged {
			require.False(t, k.accepted, "%s was forged and answered 2xx", name)
			forged[r.posted[name].id] = true
			continue
		}
		require.True(t, k.accepted, "%s was never accepted", name)
		ids[r.posted[name].id] = true
	}
	require.NotEmpty(t, forged)
	ledger := r.settled(t, known)
	held, texts := map[string]bool{}, map[string]string{}
	for name, list := range ledger {
		require.Contains(t, known, name, "it was never sent")
		require.Len(t, list, 1, name)
		e := list[0]
		if e.Later {
			require.Equal(t, []string{"quarantined", "id_conflict"}, []string{e.State, e.Reason}, name)
			held[e.Workflow] = true
			continue
		}
		require.Equal(t, "delivered", e.State, "%s %s", name, e.Reason)
		require.NotContains(t, texts, e.Event, "two are the first of an id")
		texts[e.Event] = r.posted[name].text
	}
	require.Len(t, texts, len(ids))
	r.sameEffects(t, texts)
	testenv.Eventually(t, func() bool {
		return maps.Equal(held, w.workflows(t, `ExecutionStatus="Running"`))
	}, patience, 4*tick, "only held emails have a workflow that is open")
	ended := w.workflows(t, `ExecutionStatus IN ("Failed", "Terminated", "TimedOut", "Canceled")`)
	maps.DeleteFunc(ended, func(id string, _ bool) bool {
		return strings.HasPrefix(id, "mailroom/maintenance/") // one that met the outage; the next minute has the next
	})
	require.Empty(t, ended)
	w.nothingOf(forged)
	for program, text := range r.logs {
		clean(t, "logs of "+program, text)
		for id := range forged {
			require.False(t, bytes.Contains(text, []byte(id)), "%s is in a log of %s", id, program)
		}
	}
	t.Logf("%d requests, %d ids, %d held, %d forged, in %s", len(r.stream.tries), len(ids), len(held), len(forged), time.Since(r.began))
}

// settled waits until every email is at its end and returns the ledger.
func (r *randomRun) settled(t *testing.T, known map[string]record) map[string][]entry {
	t.Helper()
	w := r.w.in(t)
	for deadline := time.Now().Add(2 * patience); ; {
		ledger := w.entries()
		open, inbox := unfinished(known, ledger), w.count(`SELECT count(*) FROM inbox`)
		if open == "" && inbox == 0 {
			return ledger
		}
		require.True(t, time.Now().Before(deadline), "%s; %d in the inbox; the logs are %s and %s",
			open, inbox, w.LogFile(stack.Ingress), w.LogFile(stack.Worker))
		<-time.After(4 * tick)
	}
}

// unfinished names an accepted body that is not there or not at its end.
func unfinished(known map[string]record, ledger map[string][]entry) string {
	for name, k := range known {
		if k.accepted && len(ledger[name]) == 0 {
			return name + " is not in the ledger"
		}
	}
	for name, list := range ledger {
		for _, e := range list {
			if !terminal[e.State] {
				return strings.Join([]string{name, e.Workflow, e.State, e.Reason}, " ")
			}
		}
	}
	return ""
}

// sameEffects sees that each id had one effect, with the text of its first body as
// far as the destination remembers it.
func (r *randomRun) sameEffects(t *testing.T, texts map[string]string) {
	t.Helper()
	var report struct {
		List []struct {
			Path    string          `json:"path"`
			EventID string          `json:"event_id"`
			Body    json.RawMessage `json:"body"`
		} `json:"list"`
	}
	r.w.in(t).sink(http.MethodGet, "/effects?limit=100000", nil, &report)
	seen, compared := map[string]bool{}, 0
	for _, e := range report.List {
		require.Equal(t, "/tickets", e.Path)
		require.Contains(t, texts, e.EventID, "an effect of an email that was never sent")
		require.False(t, seen[e.EventID], "two effects of %s", e.EventID)
		seen[e.EventID] = true
		if len(e.Body) > 0 {
			require.Contains(t, string(e.Body), texts[e.EventID], e.EventID)
			compared++
		}
	}
	require.Len(t, seen, len(texts))
	require.Positive(t, compared)
}

// workflows returns the IDs of the workflows that a query finds.
func (w *world) workflows(t *testing.T, query string) map[string]bool {
	t.Helper()
	page, err := w.tc.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: w.infra.TemporalNamespace, PageSize: 1000, Query: query,
	})
	require.NoError(t, err)
	require.Empty(t, page.GetNextPageToken())
	out := map[string]bool{}
	for _, x := range page.GetExecutions() {
		out[x.GetExecution().GetWorkflowId()] = true
	}
	return out
}
