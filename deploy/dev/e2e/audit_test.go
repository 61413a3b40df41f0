package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"mailroom/deploy/dev/stack"
)

// terminal are the states in which nothing happens to an email by itself.
var terminal = map[string]bool{"delivered": true, "quarantined": true, "discarded": true}

// audit ends a stream and compares what its sender knows with what is there:
// every id that was answered 2xx is in a terminal state, with one effect if it is
// delivered; none has two; and of what was forged there is nothing anywhere.
func (s *stream) audit(t *testing.T) {
	t.Helper()
	w := s.w.in(t)
	s.stop(t)
	known := s.journal.read(t)
	accepted, forged := 0, map[string]bool{}
	deadline := time.Now().Add(2 * patience)
	poll := time.NewTicker(tick)
	defer poll.Stop()
	states := map[string]string{}
	for id, r := range known {
		switch {
		case r.forged:
			require.False(t, r.accepted, "%s was forged and answered 2xx", id)
			forged[id] = true
		case r.accepted:
			accepted++
			for states[id] = w.stateOf(id); !terminal[states[id]]; states[id] = w.stateOf(id) {
				require.True(t, time.Now().Before(deadline), "%s was answered 2xx and is %q; log %s", id, states[id], w.LogFile(stack.Worker))
				<-poll.C
			}
		}
	}
	require.Positive(t, accepted)
	require.NotEmpty(t, forged)
	effects := w.allEffects()
	for id, r := range known {
		switch {
		case r.accepted && states[id] == "delivered":
			require.Equal(t, map[string]int{"/tickets": 1}, effects[id], id)
		case r.accepted:
			require.Empty(t, effects[id], "%s is %s", id, states[id])
		default:
			require.LessOrEqual(t, effects[id]["/tickets"], 1, id)
		}
	}
	for id := range effects {
		require.Contains(t, known, id, "an effect of an email that was never sent")
	}
	w.nothingOf(forged)
	t.Logf("%d requests, %d emails accepted, %d forged", len(s.tries), accepted, len(forged))
}

// stateOf is "" for an email that the ledger does not know.
func (w *world) stateOf(id string) string {
	var e email
	if w.api(http.MethodGet, "/emails/"+id, nil, &e) != http.StatusOK {
		return ""
	}
	return e.State
}

// allEffects counts the effects of every event by path, repeats not counted.
func (w *world) allEffects() map[string]map[string]int {
	w.t.Helper()
	var report struct {
		List []struct {
			Path    string `json:"path"`
			EventID string `json:"event_id"`
		} `json:"list"`
	}
	w.sink(http.MethodGet, "/effects?limit=100000", nil, &report)
	out := map[string]map[string]int{}
	for _, e := range report.List {
		if out[e.EventID] == nil {
			out[e.EventID] = map[string]int{}
		}
		out[e.EventID][e.Path]++
	}
	return out
}

// nothingOf looks for traces of ids that were never signed: rows, workflows,
// effects, log lines.
func (w *world) nothingOf(forged map[string]bool) {
	w.t.Helper()
	effects := w.allEffects()
	ids := make([]string, 0, len(forged))
	for id := range forged {
		ids = append(ids, id)
		require.Empty(w.t, effects[id], id)
		_, err := w.tc.DescribeWorkflowExecution(w.t.Context(), id, "")
		var gone *serviceerror.NotFound
		require.ErrorAs(w.t, err, &gone, "a workflow of %s", id)
	}
	require.Zero(w.t, w.count(`SELECT count(*) FROM emails WHERE event_id = ANY($1)`, ids))
	for _, program := range []string{stack.Ingress, stack.Worker} {
		for _, text := range w.logs(program) {
			for id := range forged {
				require.False(w.t, bytes.Contains(text, []byte(id)), "%s is in the log of %s", id, program)
			}
			clean(w.t, program+" log", text)
		}
	}
	require.NoError(w.t, w.eachWorkflow(func(id string) { require.False(w.t, forged[id], id) }))
}

// logs returns what a program has written in this run and the one before it.
func (w *world) logs(program string) [][]byte {
	w.t.Helper()
	var out [][]byte
	for _, name := range []string{w.LogFile(program), w.LogFile(program) + ".before"} {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(w.t, err)
		out = append(out, text)
	}
	return out
}

func (w *world) eachWorkflow(f func(id string)) error {
	var next []byte
	for {
		page, err := w.tc.ListWorkflow(w.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
			Namespace: w.infra.TemporalNamespace, PageSize: 1000, NextPageToken: next,
			Query: `WorkflowType = "InboundEmail"`,
		})
		if err != nil {
			return err
		}
		for _, x := range page.GetExecutions() {
			f(x.GetExecution().GetWorkflowId())
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return nil
		}
	}
}

// count asks the database for a number, past the programs and their gates.
func (w *world) count(query string, args ...any) int {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	var n int
	require.NoError(w.t, w.db.QueryRow(ctx, query, args...).Scan(&n))
	return n
}
