package workflows_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/testenv"
	"mailroom/workflows"
)

// maxHeldEvents bounds the history of one run of a held email.
const maxHeldEvents = 80

// course is one email on the real server, through all of its runs.
type course struct {
	t      *testing.T
	c      client.Client
	id     string
	script *script
	worker worker.Worker
}

func newCourse(t *testing.T, name string, s *script) *course {
	t.Helper()
	return newCourseOf(t, name, s, input())
}

func newCourseOf(t *testing.T, name string, s *script, in contract.InboundEmailInput) *course {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: testenv.Temporal(t)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	o := &course{t: t, c: c, id: "history-" + name + "-" + time.Now().Format("150405.000000000"), script: s}
	o.work()
	t.Cleanup(func() { o.worker.Stop() })
	_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: o.id, TaskQueue: o.id}, contract.InboundEmailWorkflow, in)
	require.NoError(t, err)
	return o
}

// work starts a worker that knows nothing of the one before.
func (o *course) work() {
	o.t.Helper()
	o.worker = worker.New(o.c, o.id, patient())
	o.worker.RegisterWorkflow(workflows.InboundEmail)
	o.worker.RegisterActivity(o.script)
	require.NoError(o.t, o.worker.Start())
}

func (o *course) status() contract.Status {
	v, err := o.c.QueryWorkflow(o.t.Context(), o.id, "", contract.QueryStatus)
	if err != nil {
		return contract.Status{}
	}
	var st contract.Status
	require.NoError(o.t, v.Get(&st))
	return st
}

func (o *course) until(what func(contract.Status) bool) {
	o.t.Helper()
	testenv.Eventually(o.t, func() bool { return what(o.status()) }, time.Minute, 20*time.Millisecond)
}

func (o *course) decide(d contract.Decision) (contract.DecisionResult, error) {
	o.t.Helper()
	h, err := o.c.UpdateWorkflow(o.t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: o.id, UpdateName: contract.UpdateDecide, Args: []any{d}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	require.NoError(o.t, err)
	var out contract.DecisionResult
	err = h.Get(o.t.Context(), &out)
	return out, err
}

// finish waits for the end and replays every run, which are recorded under name.
func (o *course) finish(name string) (contract.InboundEmailResult, []*historypb.History) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
	defer cancel()
	first := o.firstRun()
	var out contract.InboundEmailResult
	require.NoError(o.t, o.c.GetWorkflow(ctx, o.id, first).Get(ctx, &out))
	var runs []*historypb.History
	for run := first; run != ""; {
		h := fetchRun(ctx, o.t, o.c, o.id, run)
		require.NoError(o.t, newReplayer().ReplayWorkflowHistory(nil, h))
		require.LessOrEqual(o.t, len(h.GetEvents()), maxHeldEvents)
		runs = append(runs, h)
		run = h.GetEvents()[len(h.GetEvents())-1].GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
	}
	if *update {
		for i, h := range runs {
			encoded, err := protojson.Marshal(h)
			require.NoError(o.t, err)
			require.Less(o.t, len(encoded), maxHistory)
			var stable bytes.Buffer
			require.NoError(o.t, json.Indent(&stable, encoded, "", " "))
			file := name
			if len(runs) > 1 {
				file += "_run_" + strconv.Itoa(i+1)
			}
			require.NoError(o.t, os.WriteFile(filepath.Join(historyDir, file+".json"), stable.Bytes(), 0o600))
		}
	}
	return out, runs
}

func (o *course) firstRun() string {
	o.t.Helper()
	d, err := o.c.DescribeWorkflowExecution(o.t.Context(), o.id, "")
	require.NoError(o.t, err)
	return d.GetWorkflowExecutionInfo().GetFirstRunId()
}

// TestServerHoldGoesOn: reminded, escalated, each time in a new run and once with
// another worker; then decided by an intent.
func TestServerHoldGoesOn(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.plan = func(contract.HoldInput) contract.HoldPlan {
		return contract.HoldPlan{RemindSeconds: 1, EscalateSeconds: 3, RepeatSeconds: 3600, Approvals: 1, Notify: true}
	}
	d := s.intend(7, contract.IntentResult{Action: contract.Approve, Actor: "olga"})
	o := newCourse(t, "hold_continues", s)
	reminded := func(n int) func(contract.Status) bool {
		return func(contract.Status) bool {
			s.calls.Lock()
			defer s.calls.Unlock()
			return len(s.calls.notices) == n && len(s.calls.reminds) == n
		}
	}
	o.until(reminded(1))
	o.worker.Stop()
	o.work()
	o.until(reminded(2))
	o.until(func(st contract.Status) bool {
		return st.State == contract.Quarantined && st.NextReminderUnixMilli > time.Now().Add(time.Minute).UnixMilli()
	})
	got, err := o.decide(d)
	require.NoError(t, err)
	require.Equal(t, contract.Processing, got.State)
	out, runs := o.finish("hold_continues")
	require.Equal(t, contract.Delivered, out.State)
	require.Len(t, runs, 3)
	require.Equal(t, ticketing, s.calls.effects)
	require.Equal(t, 1, s.calls.steps["Inspect"])
}

func TestServerSecondPerson(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	s.plan = func(contract.HoldInput) contract.HoldPlan { return plan(2) }
	first := s.intend(1, contract.IntentResult{Action: contract.Approve, Actor: "olga"})
	again := s.intend(2, contract.IntentResult{Action: contract.Approve, Actor: "olga"})
	second := s.intend(3, contract.IntentResult{Action: contract.Approve, Actor: "ann-laptop", Person: "ann"})
	o := newCourse(t, "hold_second_person_verified", s)
	o.until(func(st contract.Status) bool { return st.State == contract.Quarantined })
	got, err := o.decide(first)
	require.NoError(t, err)
	require.Equal(t, contract.DecisionResult{State: contract.Quarantined, Missing: 1}, got)
	_, err = o.decide(again)
	require.ErrorContains(t, err, "olga has approved it already")
	require.NoError(t, o.c.SignalWorkflow(t.Context(), o.id, "", contract.SignalApprove, nil))
	o.until(func(st contract.Status) bool { return strings.Contains(st.Trouble, "does not count") })
	_, err = o.decide(second)
	require.NoError(t, err)
	out, _ := o.finish("hold_second_person_verified")
	require.Equal(t, contract.Delivered, out.State)
	require.Equal(t, 3, out.Decisions)
}

// TestServerHeldAgain: an email that was discarded while it was held is replayed from
// routing: it is inspected, held again, let pass, refused once by its delivery because
// the content has changed meanwhile, and inspected again.
func TestServerHeldAgain(t *testing.T) {
	t.Parallel()
	b := newLedgerBook()
	b.plan = func(contract.HoldInput) contract.HoldPlan { return plan(1) }
	b.content = "as it came"
	b.ingress = []contract.Finding{
		{Step: contract.StepInspect, Reason: contract.Infected, Detail: "attachment 1 of 1", State: contract.FindingOpen},
	}
	route := b.route
	b.route = func(n int, in contract.RouteInput) (contract.RouteResult, error) {
		if n == 0 {
			b.content = "changed behind its back"
		}
		return route(n, in)
	}
	in := input()
	in.Replay = &contract.Replayed{ID: 3, From: contract.StepRoute}
	o := newCourseOf(t, "held_again", b.script, in)
	o.until(func(st contract.Status) bool {
		return st.State == contract.Quarantined && st.Reason == contract.Infected
	})
	_, err := o.decide(b.intend(1, contract.IntentResult{Action: contract.Retry, Actor: "olga"}))
	require.NoError(t, err)
	out, _ := o.finish("held_again")
	require.Equal(t, contract.Delivered, out.State)
	require.Equal(t, ticketing, b.calls.effects)
	require.Equal(t, 3, b.calls.steps["Inspect"])
}

// TestServerEditBackToRoute: one delivery is done, one refused, one waits; an edit names
// the destinations anew.
func TestServerEditBackToRoute(t *testing.T) {
	t.Parallel()
	s := newScript()
	to := []string{"ticketing", "crm", "hung"}
	s.route = func(n int, _ contract.RouteInput) (contract.RouteResult, error) {
		if n > 0 {
			return contract.RouteResult{Routes: []string{contract.RouteEdited}, Destinations: []string{"archive"}}, nil
		}
		return contract.RouteResult{Routes: []string{"a"}, Destinations: to}, nil
	}
	s.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
		switch in.Destination {
		case "crm":
			return contract.DeliverResult{}, failure(fault.DownstreamRejected, 0)
		case "hung":
			return contract.DeliverResult{}, failure(fault.DownstreamUnavailable, 0)
		}
		return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
	}
	o := newCourse(t, "hold_edit_back", s)
	o.until(func(st contract.Status) bool { return st.State == contract.Quarantined })
	require.NoError(t, o.c.SignalWorkflow(t.Context(), o.id, "", contract.SignalEdit, contract.Decision{
		Actor: "ada", Note: "they have moved", Edit: &contract.Edit{To: []string{"archive"}},
	}))
	out, _ := o.finish("hold_edit_back")
	require.Equal(t, contract.Delivered, out.State)
	require.Equal(t, map[string]int{"ticketing": 1, "archive": 1}, s.calls.effects)
	require.Equal(t, []int64{5}, s.calls.applied)
}

// TestServerKeepsAHoldFirst: before an operator can read of a hold in the ledger, Temporal
// has it. Else a worker that is killed in between takes a while to hold the email again,
// and refuses what people decide about what they saw.
func TestServerKeepsAHoldFirst(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	var o *course
	begun, kept := make(chan struct{}), make(chan bool, 1)
	s.record = func(n int) error {
		if n == 0 {
			<-begun
			kept <- slices.ContainsFunc(fetch(t.Context(), t, o.c, o.id).GetEvents(), func(e *historypb.HistoryEvent) bool {
				return e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName() == "RecordState"
			})
		}
		return nil
	}
	o = newCourse(t, "hold_persisted_first", s)
	close(begun)
	require.True(t, <-kept)
	o.until(func(st contract.Status) bool { return st.State == contract.Quarantined })
	_, err := o.decide(decide(contract.Discard))
	require.NoError(t, err)
	out, _ := o.finish("hold_persisted_first")
	require.Equal(t, contract.Discarded, out.State)
}
