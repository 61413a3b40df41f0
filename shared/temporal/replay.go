package temporal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// Bounds of calls to a replay's workflow.
const (
	replayStartTimeout   = 5 * time.Second
	replayControlTimeout = 12 * time.Second // see decideTimeout
)

// ReplayClient is the part of Temporal's client that Replays needs.
type ReplayClient interface {
	Describer
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	UpdateWorkflow(ctx context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error)
}

// Replays starts and controls the workflows of replays. Its errors are faults.
type Replays struct {
	client ReplayClient
	memos  converter.DataConverter
}

// NewReplays returns a Replays on a Temporal client, which the caller closes. memos is
// the client's converter of memos.
func NewReplays(c ReplayClient, memos converter.DataConverter) *Replays {
	return &Replays{client: c, memos: memos}
}

// StartReplay starts the workflow of a replay. It is idempotent on id: if the workflow
// ID is in use by this replay's workflow, which was not terminated, it succeeds. If it
// is used otherwise, it fails with decision_refused, which is permanent.
func (r *Replays) StartReplay(ctx context.Context, id int64, dryRun bool) error {
	ctx, cancel := context.WithTimeout(ctx, replayStartTimeout)
	defer cancel()
	summary := "replay"
	if dryRun {
		summary = "dry run of a replay"
	}

	_, err := r.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: contract.ReplayWorkflowID(id), TaskQueue: contract.TaskQueue,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		Memo:                                     map[string]any{contract.MemoReplay: strconv.FormatInt(id, 10)},
		StaticSummary:                            summary,
	}, contract.ReplayWorkflow, contract.ReplayInput{ID: id, DryRun: dryRun})

	var already *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return r.started(ctx, id)
	}

	return unreachable(fmt.Errorf("start replay %d: %w", id, err))
}

// unreachable returns the fault of a replay that cannot be started for now.
func unreachable(err error) error {
	return fault.Wrap(fault.TemporalUnavailable, "Temporal does not answer; the replay is saved and begins when Temporal has recovered", err)
}

// started checks what uses the workflow ID of a replay.
func (r *Replays) started(ctx context.Context, id int64) error {
	o, found, err := Describe(ctx, r.client, r.memos, contract.ReplayWorkflowID(id))
	switch number, _ := o.Memo(contract.MemoReplay); {
	case err != nil:
		return unreachable(err)
	case !found:
		return fault.Newf(fault.TemporalUnavailable, "the workflow of replay %d has just disappeared; it is started again", id)
	case o.Type != contract.ReplayWorkflow || number != strconv.FormatInt(id, 10):
		return fault.Newf(fault.DecisionRefused, "the workflow ID of replay %d is taken by another workflow", id)
	case o.Forced():
		return fault.Newf(fault.DecisionRefused, "the workflow of replay %d was ended by force", id)
	}
	return nil
}

// ControlReplay sends one of contract.ReplayPause, ReplayResume, ReplayStop and
// ReplaySetRate, whose argument is rate, and waits until it has taken effect.
func (r *Replays) ControlReplay(ctx context.Context, id int64, name string, rate *contract.ReplayRate) (contract.ReplayProgress, error) {
	ctx, cancel := context.WithTimeout(ctx, replayControlTimeout)
	defer cancel()
	var args []any
	if rate != nil {
		args = []any{*rate}
	}

	var out contract.ReplayProgress
	handle, err := r.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: contract.ReplayWorkflowID(id), UpdateName: name, Args: args, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, &out)
	}

	var refused *temporal.ApplicationError
	var notFound *serviceerror.NotFound
	switch {
	case err == nil:
		return out, nil
	case errors.As(err, &refused) && refused.Type() != string(fault.StorageUnavailable):
		return out, fault.Wrap(fault.DecisionRefused, refused.Message(), err)
	case errors.As(err, &notFound):
		return out, fault.Wrap(fault.DecisionRefused, "the replay is not under way", err)
	}

	return out, fault.Wrap(fault.TemporalUnavailable, "no worker answered in time; look at the replay's state before you try again",
		fmt.Errorf("%s replay %d: %w", name, id, err))
}
