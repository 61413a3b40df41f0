package workflows_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"mailroom/shared/contract"
	"mailroom/shared/testenv"
	"mailroom/workflows"
)

// server is one workflow about many emails on the real server.
type server struct {
	t      *testing.T
	client client.Client
	queue  string
	script *manyScript
	worker worker.Worker
}

// work starts a worker that knows nothing of those before it.
func (s *server) work() {
	s.worker = worker.New(s.client, s.queue, patient())
	s.worker.RegisterWorkflow(workflows.Replay)
	s.worker.RegisterWorkflow(workflows.Maintenance)
	s.worker.RegisterActivity(s.script)
	require.NoError(s.t, s.worker.Start())
}

func (s *server) update(ctx context.Context, name string, args ...any) contract.ReplayProgress {
	s.t.Helper()
	h, err := s.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: s.queue, UpdateName: name, Args: args, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	require.NoError(s.t, err)
	var out contract.ReplayProgress
	require.NoError(s.t, h.Get(ctx, &out))
	return out
}

// manyCourse is what happens to a workflow about many emails.
type manyCourse struct {
	workflow string
	input    any
	total    int64
	course   func(ctx context.Context, s *server, open chan struct{})
	end      contract.ReplayState
	done     int64
}

func manyCourses() map[string]manyCourse {
	return map[string]manyCourse{
		"replay": {
			workflow: contract.ReplayWorkflow, input: contract.ReplayInput{ID: 7}, total: 40,
			course: func(ctx context.Context, s *server, open chan struct{}) {
				require.Equal(s.t, contract.ReplayPaused, s.update(ctx, contract.ReplayPause).State)
				close(open)
				s.worker.Stop() // the next worker has nothing but the history
				s.work()
				require.InDelta(s.t, 20, s.update(ctx, contract.ReplaySetRate, contract.ReplayRate{Rate: 20}).Rate, 0)
				require.NoError(s.t, s.client.SignalWorkflow(ctx, s.queue, "", contract.ReplayResume, nil))
			}, end: contract.ReplayDone, done: 40,
		},
		"replay_stopped": {
			workflow: contract.ReplayWorkflow, input: contract.ReplayInput{ID: 7}, total: 40,
			course: func(ctx context.Context, s *server, open chan struct{}) {
				require.Equal(s.t, contract.ReplayStopped, s.update(ctx, contract.ReplayStop).State)
				close(open)
			}, end: contract.ReplayStopped,
		},
		"replay_dry_run": {workflow: contract.ReplayWorkflow, input: contract.ReplayInput{ID: 7, DryRun: true}, total: 40, end: contract.ReplayDone},
		"maintenance":    {workflow: contract.MaintenanceWorkflow, input: contract.MaintenanceInput{}},
	}
}

// TestServerManyHistories runs the workflows about many emails on the real server,
// through a restart of the worker, and replays what the server recorded.
func TestServerManyHistories(t *testing.T) {
	t.Parallel()
	c, err := client.Dial(client.Options{HostPort: testenv.Temporal(t)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	for name, m := range manyCourses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			s := &server{t: t, client: c, queue: "history-" + name + "-" + time.Now().Format("150405.000000000"), script: newManyScript(m.total)}
			open := make(chan struct{})
			if m.course != nil {
				s.script.during = func(int) { <-open } // the first part lasts until the course lets it end
			}
			s.work()
			t.Cleanup(func() { s.worker.Stop() })
			run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: s.queue, TaskQueue: s.queue}, m.workflow, m.input)
			require.NoError(t, err)
			if m.course != nil {
				testenv.Eventually(t, func() bool { return s.script.parts() == 1 }, time.Minute, 20*time.Millisecond)
				m.course(ctx, s, open)
			}
			require.NoError(t, run.Get(ctx, nil))
			if m.end != "" {
				require.Equal(t, m.end, s.script.progress().State)
				require.Equal(t, m.done, s.script.progress().Done)
			}
			history := fetch(ctx, t, c, s.queue)
			require.NoError(t, newReplayer().ReplayWorkflowHistory(nil, history))
			encoded, err := protojson.Marshal(history)
			require.NoError(t, err)
			require.Less(t, len(encoded), maxHistory)
			if *update {
				var stable bytes.Buffer
				require.NoError(t, json.Indent(&stable, encoded, "", " "))
				require.NoError(t, os.WriteFile(filepath.Join(historyDir, name+".json"), stable.Bytes(), 0o600))
			}
		})
	}
}
