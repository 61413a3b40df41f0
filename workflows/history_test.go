package workflows_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"mailroom/shared/contract"
	"mailroom/shared/testenv"
	"mailroom/workflows"
)

// update adds a history: add a scenario NAME, then run
//
//	go run ./deploy/dev test -- go test ./workflows -run 'TestServerHistories/^NAME$' -update
//
// Without NAME every scenario's history is written again. Once there is a release,
// histories are never edited: a change of behaviour goes through workflow.GetVersion.
var update = flag.Bool("update", false, "write testdata/history from the real server")

const historyDir = "testdata/history"

// maxHistory bounds a history in bytes: nothing of a mail has a place in it.
const maxHistory = 96 << 10

// TestServerHistories runs every scenario on the real server, with decisions by
// update and by signal in turn, and replays what the server recorded.
func TestServerHistories(t *testing.T) {
	t.Parallel()
	c, err := client.Dial(client.Options{HostPort: testenv.Temporal(t)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	for i, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			history := runOnServer(t, c, sc, i%2 == 0)
			replayer := newReplayer()
			require.NoError(t, replayer.ReplayWorkflowHistory(nil, history))
			encoded, err := protojson.Marshal(history)
			require.NoError(t, err)
			require.Less(t, len(encoded), maxHistory)
			if *update {
				require.NoError(t, os.MkdirAll(historyDir, 0o755))
				var stable bytes.Buffer // protojson varies its spaces on purpose
				require.NoError(t, json.Indent(&stable, encoded, "", " "))
				require.NoError(t, os.WriteFile(filepath.Join(historyDir, sc.name+".json"), stable.Bytes(), 0o600))
			}
		})
	}
}

func runOnServer(t *testing.T, c client.Client, sc scenario, bySignal bool) *historypb.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	s, in := newScript(), input()
	if sc.script != nil {
		sc.script(s)
	}
	if sc.input != nil {
		sc.input(&in)
	}
	queue := "history-" + sc.name + "-" + time.Now().Format("150405.000000000")
	w := worker.New(c, queue, patient())
	w.RegisterWorkflow(workflows.InboundEmail)
	w.RegisterActivity(s)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, contract.InboundEmailWorkflow, in)
	require.NoError(t, err)
	send := func(d contract.Decision) {
		if bySignal {
			name := string(d.Action)
			require.NoError(t, c.SignalWorkflow(ctx, run.GetID(), "", name, contract.Decision{Actor: d.Actor, Note: d.Note}))
			return
		}
		h, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: run.GetID(), UpdateName: contract.UpdateDecide, Args: []any{d}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		require.NoError(t, err)
		var out contract.DecisionResult
		require.NoError(t, h.Get(ctx, &out))
	}
	for _, d := range sc.acts {
		testenv.Eventually(t, func() bool { return waits(ctx, c, run.GetID()) }, time.Minute, 20*time.Millisecond)
		send(d)
	}
	for i, d := range sc.decisions {
		testenv.Eventually(t, func() bool { return heldTimes(ctx, c, run.GetID(), sc, s) == i+1 }, time.Minute, 20*time.Millisecond)
		for _, name := range sc.unknown {
			require.NoError(t, c.SignalWorkflow(ctx, run.GetID(), "", name, nil))
		}
		send(d)
	}
	var out contract.InboundEmailResult
	require.NoError(t, run.Get(ctx, &out))
	check(t, sc, s, out)
	return fetch(ctx, t, c, run.GetID())
}

// patient are the options of a worker that does not take a busy machine for a deadlock:
// that goes on with a workflow that is at work, which the race detector notices.
func patient() worker.Options {
	return worker.Options{
		WorkerStopTimeout: 5 * time.Second, DeadlockDetectionTimeout: time.Minute,
		Interceptors: []interceptor.WorkerInterceptor{workflows.NewSignalInterceptor(nil)},
	}
}

// waits reports whether the email waits for its next attempt, and has come to all others of
// its destinations that it can.
func waits(ctx context.Context, c client.Client, id string) bool {
	v, err := c.QueryWorkflow(ctx, id, "", contract.QueryStatus)
	if err != nil {
		return false
	}
	var st contract.Status
	if err := v.Get(&st); err != nil || st.State != contract.Retrying {
		return false
	}
	done := 0
	for _, d := range st.Deliveries {
		if d.Done {
			done++
		}
	}
	return done == len(st.Deliveries)-1
}

// heldTimes counts how often the email has been held so far, while it is held.
func heldTimes(ctx context.Context, c client.Client, id string, sc scenario, s *script) int {
	v, err := c.QueryWorkflow(ctx, id, "", contract.QueryStatus)
	if err != nil {
		return 0
	}
	var st contract.Status
	if err := v.Get(&st); err != nil || st.State != contract.Quarantined {
		return 0
	}
	switch {
	case sc.rowless: // the ledger learns nothing of the one time
		return 1
	case len(sc.acts) > 0: // shown as held at once, which begins when the attempt under way has ended
		return min(len(st.Holds), 1)
	}
	times := 0
	for _, state := range s.calls.states() {
		if state == contract.Quarantined {
			times++
		}
	}
	return times
}

func fetch(ctx context.Context, t *testing.T, c client.Client, id string) *historypb.History {
	t.Helper()
	return fetchRun(ctx, t, c, id, "")
}

func fetchRun(ctx context.Context, t *testing.T, c client.Client, id, run string) *historypb.History {
	t.Helper()
	h := &historypb.History{}
	events := c.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(t, err)
		h.Events = append(h.Events, e)
	}
	return h
}

func newReplayer() worker.WorkflowReplayer {
	r, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		DisableDeadlockDetection: true, Interceptors: patient().Interceptors,
	})
	if err != nil {
		panic(err)
	}
	r.RegisterWorkflow(workflows.InboundEmail)
	r.RegisterWorkflow(workflows.Replay)
	r.RegisterWorkflow(workflows.Maintenance)
	return r
}

// TestReplay replays every recorded history against today's code. A history
// whose name begins with "bad-" must be refused.
func TestReplay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(historyDir, "*.json"))
	require.NoError(t, err)
	good, bad := 0, 0
	for _, f := range files {
		name := filepath.Base(f)
		err := newReplayer().ReplayWorkflowHistoryFromJSONFile(nil, f)
		if strings.HasPrefix(name, "bad-") {
			bad++
			require.ErrorContains(t, err, "TMPRL1100", "%s must not replay", name)
			continue
		}
		good++
		require.NoError(t, err, name)
	}
	require.GreaterOrEqual(t, good, len(scenarios())+len(manyCourses()), "a history for every path")
	require.Positive(t, bad)
}
