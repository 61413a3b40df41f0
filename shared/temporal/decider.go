package temporal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	sdktemporal "go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// decideTimeout is how long a decision waits for a worker: longer than the 5 s for which
// Temporal reserves a task for a worker that was killed.
const decideTimeout = 12 * time.Second

// If a signal or result arrives while a workflow is about to end, Temporal discards the
// workflow task with the decision, and the caller has to send it again.
const (
	undoneTries = 4
	undonePause = 100 * time.Millisecond // multiplied by the number of the try
)

// ErrNotOpen means that an email has no running workflow: it has ended or not started.
var ErrNotOpen = errors.New("no open workflow")

// Updater is the part of Temporal's client that a decision needs.
type Updater interface {
	UpdateWorkflow(ctx context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error)
	GetWorkflowUpdateHandle(options client.GetWorkflowUpdateHandleOptions) client.WorkflowUpdateHandle
}

// Decider sends decisions as the update decide and waits until the workflow has accepted
// or refused them.
type Decider struct {
	updater Updater
	timeout time.Duration
}

// NewDecider returns a decider on a Temporal client, which the caller closes.
func NewDecider(updater Updater) *Decider {
	return &Decider{updater: updater, timeout: decideTimeout}
}

// Decide sends a decision and waits for the result for decideTimeout at most. After a
// timeout the decision may still be accepted. Repeating it is safe: it is idempotent on
// d.Intent, and another intent is refused once the first has taken effect. It fails
// with decision_refused if the workflow refuses the decision, and, wrapping ErrNotOpen,
// if there is no open workflow.
func (t *Decider) Decide(ctx context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	for try := 1; ; try++ {
		result, err := t.update(ctx, workflowID, d)
		if err == nil {
			return result, nil
		}
		var undone *serviceerror.WorkflowNotReady
		if errors.As(err, &undone) && try < undoneTries {
			select {
			case <-time.After(time.Duration(try) * undonePause):
				continue
			case <-ctx.Done():
			}
		}
		return contract.DecisionResult{}, decideFault(fmt.Errorf("update workflow %s: %w", workflowID, err))
	}
}

func (t *Decider) update(ctx context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error) {
	var result contract.DecisionResult
	options := client.UpdateWorkflowOptions{
		WorkflowID:   workflowID,
		UpdateName:   contract.UpdateDecide,
		Args:         []any{d},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	if d.Intent != 0 { // Temporal drops repeats of an update ID
		options.UpdateID = updateID(d.Intent)
	}
	handle, err := t.updater.UpdateWorkflow(ctx, options)
	if err == nil {
		err = handle.Get(ctx, &result)
	}
	return result, err //nolint:wrapcheck // Decide wraps it
}

// Taken returns the result that the latest run of a workflow, running or ended, has
// returned for the decision of an intent. It waits for a result under way until ctx is
// done, and sends nothing. taken is false if the run has not accepted the decision.
func (t *Decider) Taken(ctx context.Context, workflowID string, intent int64) (result contract.DecisionResult, taken bool, err error) {
	err = t.updater.GetWorkflowUpdateHandle(client.GetWorkflowUpdateHandleOptions{
		WorkflowID: workflowID, UpdateID: updateID(intent),
	}).Get(ctx, &result)
	if err == nil {
		return result, true, nil
	}
	if err = decideFault(fmt.Errorf("ask workflow %s: %w", workflowID, err)); fault.Is(err, fault.DecisionRefused) {
		err = nil // the decision was refused, or never arrived
	}
	return contract.DecisionResult{}, false, err
}

// updateID returns the update ID of an intent, by which Temporal recognises a repeat.
func updateID(intent int64) string { return fmt.Sprintf("intent-%d", intent) }

// decideFault translates an error of Temporal about a decision into a fault, by the first
// row of decideFaults that matches.
func decideFault(err error) error {
	var refused *sdktemporal.ApplicationError
	if errors.As(err, &refused) { // of the workflow; its type is the code of a fault
		code := fault.DecisionRefused
		if refused.Type() == string(fault.StorageUnavailable) {
			code = fault.StorageUnavailable
		}
		return fault.Wrap(code, refused.Message(), err)
	}

	for _, row := range decideFaults {
		if row.matches(err) {
			return fault.Wrap(row.code, row.public, errors.Join(row.also, err))
		}
	}
	return fault.Wrap(fault.Internal, "something went wrong inside Mailroom; look at the email's state before you decide again", err)
}

// decideFaults translates errors of the SDK and of the server. The workflow's own errors
// are translated by their type in decideFault.
var decideFaults = []struct {
	matches func(error) bool
	code    fault.Code
	public  string
	also    error // joined with the error
}{
	{is[*sdktemporal.PanicError], fault.Internal, "the email's workflow could not take the decision", nil},
	{is[*serviceerror.NotFound], fault.DecisionRefused, "no workflow of this email waits for a decision", ErrNotOpen},
	{is[*client.WorkflowUpdateServiceTimeoutOrCanceledError], fault.TemporalUnavailable, noAnswer, nil},
	{is[*serviceerror.DeadlineExceeded], fault.TemporalUnavailable, noAnswer, nil},
	{is[*serviceerror.Canceled], fault.TemporalUnavailable, noAnswer, nil},
	{isContext, fault.TemporalUnavailable, noAnswer, nil},
	{is[*serviceerror.Unavailable], fault.TemporalUnavailable, notSent, nil},
	{is[*serviceerror.ResourceExhausted], fault.TemporalUnavailable, notSent, nil},
	{is[*serviceerror.WorkflowNotReady], fault.TemporalUnavailable, notSent, nil},
}

const (
	noAnswer = "no worker answered in time; look at the email's state before you decide again"
	notSent  = "Temporal does not answer; nothing was decided"
)

func is[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}

func isContext(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
