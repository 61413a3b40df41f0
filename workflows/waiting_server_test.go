package workflows_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/testenv"
	"mailroom/workflows"
)

// attemptUnderWay runs an email on the real server up to its second attempt, which goes on
// until end is called with how it ends.
type attemptUnderWay struct {
	*script
	t       *testing.T
	ctx     context.Context
	client  client.Client
	run     client.WorkflowRun
	doubled atomic.Bool // two attempts were made at the same time
	making  atomic.Bool
	begun   chan struct{}
	end     chan error
}

// attempt makes one attempt: the first fails, and the second ends as end says.
func (a *attemptUnderWay) attempt(n int) error {
	if !a.making.CompareAndSwap(false, true) {
		a.doubled.Store(true)
	}
	defer a.making.Store(false)
	switch n {
	case 0:
		return failure(fault.DownstreamUnavailable, 0)
	case 1:
		close(a.begun)
		return <-a.end
	}
	return nil
}

// newAttemptUnderWay makes the attempts of the delivery; change may make others.
func newAttemptUnderWay(t *testing.T, name string, change ...func(*attemptUnderWay)) *attemptUnderWay {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	c, err := client.Dial(client.Options{HostPort: testenv.Temporal(t)})
	require.NoError(t, err)
	t.Cleanup(c.Close)

	a := &attemptUnderWay{script: newScript(), t: t, ctx: ctx, client: c, begun: make(chan struct{}), end: make(chan error)}
	a.deliver = func(_ context.Context, n int, _ contract.DeliverInput) (contract.DeliverResult, error) {
		if err := a.attempt(n); err != nil {
			return contract.DeliverResult{}, err
		}
		return contract.DeliverResult{Status: 200, Attempts: n + 1}, nil
	}
	for _, f := range change {
		f(a)
	}

	queue := "under-way-" + name + "-" + time.Now().Format("150405.000000000")
	w := worker.New(c, queue, patient())
	w.RegisterWorkflow(workflows.InboundEmail)
	w.RegisterActivity(a.script)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	a.run, err = c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: queue, TaskQueue: queue}, contract.InboundEmailWorkflow, input())
	require.NoError(t, err)
	select {
	case <-a.begun:
	case <-ctx.Done():
		t.Fatal("the second attempt has not begun")
	}
	return a
}

func (a *attemptUnderWay) decide(action contract.Action) contract.DecisionResult {
	a.t.Helper()
	h, err := a.update(action)
	require.NoError(a.t, err)
	var out contract.DecisionResult
	require.NoError(a.t, h.Get(a.ctx, &out))
	return out
}

func (a *attemptUnderWay) update(action contract.Action) (client.WorkflowUpdateHandle, error) {
	return a.client.UpdateWorkflow(a.ctx, client.UpdateWorkflowOptions{
		WorkflowID: a.run.GetID(), UpdateName: contract.UpdateDecide, Args: []any{decide(action)},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
}

// held waits until the email is held for one reason.
func (a *attemptUnderWay) held(reason contract.Reason) {
	a.t.Helper()
	testenv.Eventually(a.t, func() bool {
		v, err := a.client.QueryWorkflow(a.ctx, a.run.GetID(), "", contract.QueryStatus)
		var st contract.Status
		return err == nil && v.Get(&st) == nil && len(st.Holds) == 1 && st.Holds[0].Reason == reason
	}, time.Minute, 20*time.Millisecond)
}

func (a *attemptUnderWay) result() contract.InboundEmailResult {
	a.t.Helper()
	var out contract.InboundEmailResult
	require.NoError(a.t, a.run.Get(a.ctx, &out))
	require.False(a.t, a.doubled.Load(), "two attempts were made at the same time")
	return out
}

// TestRetryWhileAnAttemptIsMade: the attempt comes to its end; if that is a failure, the
// next one follows at once.
func TestRetryWhileAnAttemptIsMade(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		end   error
		again []bool
	}{
		"in-vain":   {failure(fault.DownstreamUnavailable, time.Hour), []bool{false, false, true}},
		"delivered": {nil, []bool{false, false}},
	} {
		a := newAttemptUnderWay(t, name)
		require.Equal(t, contract.Processing, a.decide(contract.Retry).State)
		a.end <- row.end
		require.Equal(t, contract.Delivered, a.result().State)
		require.Equal(t, row.again, askedNow(a.calls.delivers), name)
		require.Equal(t, ticketing, a.calls.effects, name)
	}
}

// TestDiscardWhileAnAttemptIsMade: what that attempt has delivered is in the result and
// closes before the email does.
func TestDiscardWhileAnAttemptIsMade(t *testing.T) {
	t.Parallel()
	a := newAttemptUnderWay(t, "discard")
	require.Equal(t, contract.DecisionResult{State: contract.Discarded}, a.decide(contract.Discard))
	a.end <- nil
	out := a.result()
	require.Equal(t, contract.Discarded, out.State)
	require.Equal(t, []string{"ticketing"}, out.Destinations)
	states := a.calls.states()
	require.Equal(t, []contract.State{contract.Discarded, contract.Discarded}, states[len(states)-2:], "the end is written once more")
}

// TestHoldWhileAnAttemptIsMade: it is shown as held at once; nothing is sent after that
// attempt before the hold is approved.
func TestHoldWhileAnAttemptIsMade(t *testing.T) {
	t.Parallel()
	a := newAttemptUnderWay(t, "hold")
	require.Equal(t, contract.Quarantined, a.decide(contract.Held).State)
	a.end <- failure(fault.DownstreamUnavailable, time.Hour)
	a.held(contract.ManualHold)
	require.Len(t, a.calls.delivers, 2)
	a.decide(contract.Approve)
	require.Equal(t, contract.Delivered, a.result().State)
	require.Equal(t, []bool{false, false, true}, askedNow(a.calls.delivers))
}

// TestAskedHoldOutlivesAnotherApproval: the attempt that was being made finds malware. The
// approval of that is none of the hold that a person asked for meanwhile.
func TestAskedHoldOutlivesAnotherApproval(t *testing.T) {
	t.Parallel()
	a := newAttemptUnderWay(t, "found", func(a *attemptUnderWay) {
		a.deliver = nil
		a.inspect = func(n int) (contract.InspectResult, error) {
			return contract.InspectResult{Holds: holding(contract.Infected)}, a.attempt(n)
		}
	})
	require.Equal(t, contract.Quarantined, a.decide(contract.Held).State)
	a.end <- nil
	a.held(contract.Infected)
	testenv.Eventually(t, func() bool { // what was held a moment ago cannot be approved yet
		h, err := a.update(contract.Approve)
		return err == nil && h.Get(a.ctx, nil) == nil
	}, time.Minute, 100*time.Millisecond)
	a.held(contract.ManualHold)
	a.decide(contract.Discard)
	require.Equal(t, contract.Discarded, a.result().State)
	require.Empty(t, a.calls.delivers)
}
