package temporal

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdktemporal "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/testenv"
)

// fakeUpdater refuses the call, or answers with a handle that does.
type fakeUpdater struct {
	callErr, getErr error
	undone          int // the number of calls whose task is discarded
	calls           int
	options         client.UpdateWorkflowOptions
}

func (f *fakeUpdater) UpdateWorkflow(ctx context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return nil, errors.New("no deadline")
	}
	f.options = options
	if f.calls++; f.calls <= f.undone {
		return nil, serviceerror.NewWorkflowNotReady("unexpected workflow task failure")
	}
	return f, f.callErr
}

func (f *fakeUpdater) GetWorkflowUpdateHandle(client.GetWorkflowUpdateHandleOptions) client.WorkflowUpdateHandle {
	return f
}

func (f *fakeUpdater) Get(_ context.Context, value any) error {
	if f.getErr == nil {
		value.(*contract.DecisionResult).State = contract.Processing
	}
	return f.getErr
}

func (f *fakeUpdater) WorkflowID() string { return f.options.WorkflowID }
func (f *fakeUpdater) RunID() string      { return "" }
func (f *fakeUpdater) UpdateID() string   { return "" }

func TestDeciderTranslates(t *testing.T) {
	t.Parallel()
	d := contract.Decision{Action: contract.Approve, Actor: "olga", Note: "ok", Via: "api"}
	updater := &fakeUpdater{}
	result, err := NewDecider(updater).Decide(t.Context(), "wf", d)
	require.NoError(t, err)
	require.Equal(t, contract.Processing, result.State)
	require.Equal(t, client.UpdateWorkflowOptions{
		WorkflowID: "wf", UpdateName: contract.UpdateDecide, Args: []any{d}, WaitForStage: client.WorkflowUpdateStageCompleted,
	}, updater.options)

	_, err = NewDecider(updater).Decide(t.Context(), "wf", contract.Decision{Intent: 7})
	require.NoError(t, err)
	require.Equal(t, "intent-7", updater.options.UpdateID)

	met := map[int]bool{}
	for name, row := range map[string]struct {
		updater *fakeUpdater
		code    fault.Code
		public  string
	}{
		"validator": {&fakeUpdater{getErr: sdktemporal.NewApplicationError("this email is not held", "Refused")}, fault.DecisionRefused, "this email is not held"},
		"ledger":    {&fakeUpdater{getErr: sdktemporal.NewApplicationError("the ledger does not answer", "storage_unavailable")}, fault.StorageUnavailable, "the ledger does not answer"},
		"gone":      {&fakeUpdater{callErr: serviceerror.NewNotFound("workflow not found")}, fault.DecisionRefused, "no workflow"},
		"closed":    {&fakeUpdater{getErr: serviceerror.NewNotFound("workflow execution already completed")}, fault.DecisionRefused, "no workflow"},
		"down":      {&fakeUpdater{callErr: serviceerror.NewUnavailable("dial")}, fault.TemporalUnavailable, "Temporal does not answer"},
		"no worker": {&fakeUpdater{callErr: client.NewWorkflowUpdateServiceTimeoutOrCanceledError(context.DeadlineExceeded)}, fault.TemporalUnavailable, "no worker answered"},
		"deadline":  {&fakeUpdater{callErr: serviceerror.NewDeadlineExceeded("late")}, fault.TemporalUnavailable, "no worker answered"},
		"cancelled": {&fakeUpdater{callErr: serviceerror.NewCanceled("over")}, fault.TemporalUnavailable, "no worker answered"},
		"over":      {&fakeUpdater{callErr: context.Canceled}, fault.TemporalUnavailable, "no worker answered"},
		"busy":      {&fakeUpdater{callErr: serviceerror.NewResourceExhausted(enums.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, "slow down")}, fault.TemporalUnavailable, "nothing was decided"},
		"undone":    {&fakeUpdater{callErr: serviceerror.NewWorkflowNotReady("again")}, fault.TemporalUnavailable, "nothing was decided"},
		"panic":     {&fakeUpdater{getErr: &sdktemporal.PanicError{}}, fault.Internal, "could not take the decision"},
		"unknown":   {&fakeUpdater{callErr: errors.New("strange")}, fault.Internal, "something went wrong"},
	} {
		_, err := NewDecider(row.updater).Decide(t.Context(), "wf", d)
		f := fault.From(err)
		require.Equal(t, row.code, f.Code, name)
		require.Contains(t, f.Public, row.public, name)
		require.ErrorContains(t, err, "update workflow wf", name)
		for i, translation := range decideFaults {
			met[i] = met[i] || translation.matches(err)
		}
	}
	require.Len(t, met, len(decideFaults))
	for i := range decideFaults {
		require.True(t, met[i], "no case for %d: %q", i, decideFaults[i].public)
	}

	for _, code := range fault.Codes { // the type of the workflow's own error
		want := fault.DecisionRefused
		if code == fault.StorageUnavailable {
			want = code
		}
		err := decideFault(sdktemporal.NewApplicationError("why", string(code)))
		require.Equal(t, want, fault.From(err).Code, code)
		require.Equal(t, "why", fault.From(err).Public, code)
	}
}

// TestDecisionIsSentAgainWhenItsTaskIsUndone: Temporal discards the task of a decision
// when something arrives while the workflow ends; the operator must not notice.
func TestDecisionIsSentAgainWhenItsTaskIsUndone(t *testing.T) {
	t.Parallel()
	updater := &fakeUpdater{undone: undoneTries - 1}
	_, err := NewDecider(updater).Decide(t.Context(), "wf", contract.Decision{Intent: 7})
	require.NoError(t, err)
	require.Equal(t, undoneTries, updater.calls)

	updater = &fakeUpdater{undone: undoneTries}
	_, err = NewDecider(updater).Decide(t.Context(), "wf", contract.Decision{Intent: 7})
	require.Equal(t, fault.TemporalUnavailable, fault.From(err).Code)
	require.Equal(t, undoneTries, updater.calls)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	updater = &fakeUpdater{undone: undoneTries}
	_, err = NewDecider(updater).Decide(ctx, "wf", contract.Decision{Intent: 7})
	require.Error(t, err)
	require.Equal(t, 1, updater.calls)
}

// TestDeciderOnTemporal uses a real server: a decision that is accepted, one that the
// validator refuses, a workflow that does not exist, one that has ended, and one
// without a worker.
func TestDeciderOnTemporal(t *testing.T) {
	t.Parallel()
	c, err := client.Dial(client.Options{HostPort: testenv.Temporal(t)})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	queue, id := "decider-"+uuid.NewString(), "decider-"+uuid.NewString()
	w := worker.New(c, queue, worker.Options{})
	w.RegisterWorkflowWithOptions(held, workflow.RegisterOptions{Name: "held"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: queue}, "held")
	require.NoError(t, err)

	decider := NewDecider(c)
	_, err = decider.Decide(t.Context(), id, contract.Decision{Action: contract.Retry})
	require.Equal(t, fault.DecisionRefused, fault.From(err).Code)
	require.Equal(t, "a note is missing", fault.From(err).Public)

	result, err := decider.Decide(t.Context(), id, contract.Decision{Action: contract.Discard, Note: "spam"})
	require.NoError(t, err)
	require.Equal(t, contract.Discarded, result.State)
	require.NoError(t, run.Get(t.Context(), nil))

	for _, id := range []string{id, "nobody-" + uuid.NewString()} {
		_, err = decider.Decide(t.Context(), id, contract.Decision{Action: contract.Discard, Note: "spam"})
		require.Equal(t, fault.DecisionRefused, fault.From(err).Code, err)
		require.ErrorIs(t, err, ErrNotOpen)
	}

	lonely := "decider-" + uuid.NewString()
	_, err = c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: lonely, TaskQueue: lonely}, "held")
	require.NoError(t, err)
	decider.timeout = 500 * time.Millisecond
	_, err = decider.Decide(t.Context(), lonely, contract.Decision{Action: contract.Discard, Note: "spam"})
	require.Equal(t, fault.TemporalUnavailable, fault.From(err).Code, err)
	require.NoError(t, c.TerminateWorkflow(t.Context(), lonely, "", "the test is over"))
}

// held waits for one decision.
func held(ctx workflow.Context) error {
	decided := false
	err := workflow.SetUpdateHandlerWithOptions(ctx, contract.UpdateDecide,
		func(workflow.Context, contract.Decision) (contract.DecisionResult, error) {
			decided = true
			return contract.DecisionResult{State: contract.Discarded}, nil
		}, workflow.UpdateHandlerOptions{Validator: func(d contract.Decision) error {
			if d.Note == "" {
				return errors.New("a note is missing")
			}
			return nil
		}})
	if err != nil {
		return err
	}
	return workflow.Await(ctx, func() bool { return decided && workflow.AllHandlersFinished(ctx) })
}
