package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/workflows"
)

// manyEnv prepares a workflow about many emails in the time-skipping environment.
func manyEnv(t *testing.T, s *manyScript) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	e := suite.NewTestWorkflowEnvironment()
	e.SetWorkerOptions(patient())
	e.RegisterActivity(s)
	e.SetTestTimeout(30 * time.Second)
	return e
}

// runReplay runs a replay to the end of this run.
func runReplay(t *testing.T, e *testsuite.TestWorkflowEnvironment, in contract.ReplayInput) contract.ReplayProgress {
	t.Helper()
	e.ExecuteWorkflow(workflows.Replay, in)
	require.True(t, e.IsWorkflowCompleted())
	require.NoError(t, e.GetWorkflowError())
	var out contract.ReplayProgress
	require.NoError(t, e.GetWorkflowResult(&out))
	return out
}

func progressOf(t *testing.T, e *testsuite.TestWorkflowEnvironment) contract.ReplayProgress {
	t.Helper()
	v, err := e.QueryWorkflow(contract.QueryProgress)
	require.NoError(t, err)
	var p contract.ReplayProgress
	require.NoError(t, v.Get(&p))
	return p
}

// TestReplayPausesAndGoesOn by update and by signal: while it is paused no part runs.
func TestReplayPausesAndGoesOn(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(*testsuite.TestWorkflowEnvironment, string){
		"update": func(e *testsuite.TestWorkflowEnvironment, name string) { e.UpdateWorkflow(name, "", &answer{}) },
		"signal": func(e *testsuite.TestWorkflowEnvironment, name string) { e.SignalWorkflow(name, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newManyScript(50)
			e := manyEnv(t, s)
			s.during = func(part int) {
				if part == 2 {
					send(e, contract.ReplayPause)
					<-s.controlled // else the parts may be faster
				}
			}
			paused := 0
			e.RegisterDelayedCallback(func() { // nothing but the wait for a person takes time here
				require.Equal(t, contract.ReplayPaused, progressOf(t, e).State)
				require.Less(t, s.progress().Done, int64(50))
				paused = s.parts()
			}, time.Hour)
			e.RegisterDelayedCallback(func() {
				require.Equal(t, paused, s.parts(), "no part while it is paused")
				send(e, contract.ReplayResume)
			}, 2*time.Hour)
			out := runReplay(t, e, contract.ReplayInput{ID: 7})
			require.Equal(t, contract.ReplayDone, out.State)
			require.EqualValues(t, 50, out.Done)
			require.Positive(t, paused)
			for i, in := range s.chunks {
				require.EqualValues(t, 7, in.ID)
				require.EqualValues(t, i, in.DueUnixMicro, "the schedule goes on from part to part")
			}
		})
	}
}

func TestReplayStops(t *testing.T) {
	t.Parallel()
	s := newManyScript(1000)
	e := manyEnv(t, s)
	s.during = func(part int) {
		if part == 3 {
			e.UpdateWorkflow(contract.ReplayPause, "", &answer{})
			<-s.controlled
		}
	}
	e.RegisterDelayedCallback(func() { e.UpdateWorkflow(contract.ReplayStop, "", &answer{}) }, time.Hour)
	out := runReplay(t, e, contract.ReplayInput{ID: 7})
	require.Equal(t, contract.ReplayStopped, out.State)
	require.Equal(t, contract.ReplayStopped, s.progress().State, "the ledger says so")
	require.LessOrEqual(t, s.parts(), 5)
}

// TestReplayCancelled: a cancellation is a stop, in the ledger as well.
func TestReplayCancelled(t *testing.T) {
	t.Parallel()
	s := newManyScript(1000)
	e := manyEnv(t, s)
	s.during = func(part int) {
		if part == 2 {
			e.CancelWorkflow()
		}
	}
	out := runReplay(t, e, contract.ReplayInput{ID: 7})
	require.Equal(t, contract.ReplayStopped, out.State)
	require.Equal(t, contract.ReplayStopped, s.progress().State)
}

func TestReplayTakesAnotherRate(t *testing.T) {
	t.Parallel()
	s := newManyScript(30)
	e := manyEnv(t, s)
	var fits, negative, huge answer
	s.during = func(part int) {
		if part == 1 {
			e.UpdateWorkflow(contract.ReplaySetRate, "", &negative, contract.ReplayRate{Rate: -1})
			e.UpdateWorkflow(contract.ReplaySetRate, "", &huge, contract.ReplayRate{Rate: contract.MaxReplayRate + 1})
			e.UpdateWorkflow(contract.ReplaySetRate, "", &fits, contract.ReplayRate{Rate: 20})
			<-s.controlled
		}
	}
	out := runReplay(t, e, contract.ReplayInput{ID: 7})
	require.InDelta(t, 20, out.Rate, 0)
	require.InDelta(t, 20, s.progress().Rate, 0)
	require.ErrorContains(t, negative.rejected, "the rate is a number")
	require.ErrorContains(t, huge.rejected, "the rate is a number")
	require.NoError(t, fits.rejected)
}

// TestReplayGoesOnInANewRun: a long one loses neither its numbers nor its schedule.
func TestReplayGoesOnInANewRun(t *testing.T) {
	t.Parallel()
	s := newManyScript(3100)
	in := contract.ReplayInput{ID: 7}
	e := manyEnv(t, s)
	e.ExecuteWorkflow(workflows.Replay, in)
	var again *workflow.ContinueAsNewError
	require.ErrorAs(t, e.GetWorkflowError(), &again)
	require.Equal(t, contract.ReplayWorkflow, again.WorkflowType.Name)
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(again.Input, &in))
	require.EqualValues(t, 3000, in.Progress.Done)
	require.EqualValues(t, 300, in.DueUnixMicro)
	out := runReplay(t, manyEnv(t, s), in)
	require.Equal(t, contract.ReplayDone, out.State)
	require.EqualValues(t, 3100, out.Done)
	require.Equal(t, 310, s.parts())
}

// TestReplayFails ends in the ledger as well; one that was never written down, or is
// gone, is no failed workflow.
func TestReplayFails(t *testing.T) {
	t.Parallel()
	s := newManyScript(10)
	s.fails = failure(fault.Unauthorized, 0)
	e := manyEnv(t, s)
	e.ExecuteWorkflow(workflows.Replay, contract.ReplayInput{ID: 7})
	require.Error(t, e.GetWorkflowError())
	require.Equal(t, contract.ReplayFailed, s.progress().State)

	s = newManyScript(10)
	s.fails = failure(fault.NotFound, 0)
	require.Equal(t, contract.ReplayFailed, runReplay(t, manyEnv(t, s), contract.ReplayInput{ID: 7}).State)
}

func TestReplayDryRun(t *testing.T) {
	t.Parallel()
	s := newManyScript(10)
	out := runReplay(t, manyEnv(t, s), contract.ReplayInput{ID: 7, DryRun: true})
	require.Equal(t, contract.ReplayDone, out.State)
	require.Zero(t, out.Done)
	require.Equal(t, []contract.ReplayChunkInput{{ID: 7}}, s.chunks)
}

// TestMaintenance: one that fails keeps none of the others from being done.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	s := newManyScript(0)
	e := manyEnv(t, s)
	e.ExecuteWorkflow(workflows.Maintenance, contract.MaintenanceInput{})
	require.NoError(t, e.GetWorkflowError())
	var out contract.MaintenanceResult
	require.NoError(t, e.GetWorkflowResult(&out))
	require.Equal(t, contract.MaintenanceResult{Causes: 2, Released: 1, Started: 1, Removed: 3, Objects: 4}, out)

	s = newManyScript(0)
	s.unavailable = true
	e = manyEnv(t, s)
	e.ExecuteWorkflow(workflows.Maintenance, contract.MaintenanceInput{})
	require.ErrorContains(t, e.GetWorkflowError(), "the ledger is unavailable")
	require.Equal(t, map[string]int{"start": 1, "bring back": 2, "purge": 1}, s.runs)
}

// TestReplayTakesAHeldEmailUp: what was delivered of it is sent once more by the
// replay, which says whether that is another effect; a mere retry is none.
func TestReplayTakesAHeldEmailUp(t *testing.T) {
	t.Parallel()
	for name, replayed := range map[string]*contract.Replayed{
		"a replay": {ID: 3, From: contract.StepRoute, NewEffect: true},
		"a retry":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript()
			s.route = func(int, contract.RouteInput) (contract.RouteResult, error) {
				return contract.RouteResult{Routes: []string{"a"}, Destinations: []string{"ticketing", "crm"}}, nil
			}
			s.deliver = func(_ context.Context, n int, in contract.DeliverInput) (contract.DeliverResult, error) {
				if in.Destination == "crm" && n < 1 {
					return contract.DeliverResult{}, failure(fault.DownstreamRejected, 0)
				}
				return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
			}
			s.intents = map[int64]contract.IntentResult{9: {
				Action: contract.Retry, Actor: "ada", Via: contract.ViaReplay, From: contract.StepRoute, Replay: replayed,
			}}
			c := newChain(t, s)
			taken := c.update(time.Hour, contract.Decision{Intent: 9})
			require.Equal(t, contract.Delivered, c.run(input()).State)
			require.NoError(t, errors.Join(taken.rejected, taken.err))
			for _, in := range s.calls.delivers[:2] {
				require.Zero(t, in.Replay)
			}
			if replayed == nil {
				require.Equal(t, map[string]int{"ticketing": 1, "crm": 1}, s.calls.effects)
				return
			}
			require.Equal(t, map[string]int{"ticketing": 2, "crm": 1}, s.calls.effects)
			for _, in := range s.calls.delivers[2:] {
				require.EqualValues(t, 3, in.Replay)
				require.True(t, in.NewEffect)
			}
		})
	}
}
