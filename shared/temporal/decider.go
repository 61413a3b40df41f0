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

// decideTimeout is how long a decision waits for a worker to take it: longer than
// Temporal keeps a task for a worker that was killed, which is 5 s.
const decideTimeout = 12 * time.Second

// Something new that comes to a workflow while it would end makes Temporal undo the
// task that a decision is in, and tell its sender to come again.
const (
	undoneTries = 4
	undonePause = 100 * time.Millisecond // longer each time
)

// ErrNotOpen says that an email has no workflow that runs: it has ended, or is yet
// to begin.
var ErrNotOpen = errors.New("no open workflow")

// Updater is the part of Temporal's client that a decision needs.
type Updater interface {
	UpdateWorkflow(ctx context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error)
	GetWorkflowUpdateHandle(options client.GetWorkflowUpdateHandleOptions) client.WorkflowUpdateHandle
}

// Decider sends decisions as the update decide and waits until the workflow has
// taken or refused them.
type Decider struct {
	updater Updater
	timeout time.Duration
}

// NewDecider makes a decider on a Temporal client, which stays the caller's.
func NewDecider(updater Updater) *Decider {
	return &Decider{updater: updater, timeout: decideTimeout}
}

// Decide waits for the answer, for decideTimeout at most. A decision whose answer
// did not come in time may still be taken; repeating it harms nothing: the same
// intent counts once, and another is refused by what the first has done. The
// workflow's own refusal, and one that there is no open workflow, are
// decision_refused; the latter wraps ErrNotOpen.
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
	if d.Intent != 0 { // Temporal drops a repeat itself
		options.UpdateID = updateID(d.Intent)
	}
	handle, err := t.updater.UpdateWorkflow(ctx, options)
	if err == nil {
		err = handle.Get(ctx, &result)
	}
	return result, err //nolint:wrapcheck // Decide says what it was
}

// Taken gives what the latest run of a workflow answered to the decision of an intent,
// whether it runs or has ended, and waits for an answer that is on its way until ctx is
// over. It sends nothing; false says that the run has not taken it.
func (t *Decider) Taken(ctx context.Context, workflowID string, intent int64) (result contract.DecisionResult, taken bool, err error) {
	err = t.updater.GetWorkflowUpdateHandle(client.GetWorkflowUpdateHandleOptions{
		WorkflowID: workflowID, UpdateID: updateID(intent),
	}).Get(ctx, &result)
	if err == nil {
		return result, true, nil
	}
	if err = decideFault(fmt.Errorf("ask workflow %s: %w", workflowID, err)); fault.Is(err, fault.DecisionRefused) {
		err = nil // it refused the decision, or nobody knows of it
	}
	return contract.DecisionResult{}, false, err
}

// updateID is the same each time that an intent is sent.
func updateID(intent int64) string { return fmt.Sprintf("intent-%d", intent) }

// decideFault translates what Temporal says to a decision.
func decideFault(err error) error {
	var (
		panicked  *sdktemporal.PanicError
		refused   *sdktemporal.ApplicationError
		notFound  *serviceerror.NotFound
		late      *client.WorkflowUpdateServiceTimeoutOrCanceledError
		deadline  *serviceerror.DeadlineExceeded
		away      *serviceerror.Unavailable
		busy      *serviceerror.ResourceExhausted
		notReady  *serviceerror.WorkflowNotReady
		cancelled *serviceerror.Canceled
	)

	switch {
	case errors.As(err, &panicked):
		return fault.Wrap(fault.Internal, "the email's workflow could not take the decision", err)
	case errors.As(err, &refused):
		if refused.Type() == string(fault.StorageUnavailable) {
			return fault.Wrap(fault.StorageUnavailable, refused.Message(), err)
		}
		return fault.Wrap(fault.DecisionRefused, refused.Message(), err)
	case errors.As(err, &notFound):
		return fault.Wrap(fault.DecisionRefused, "no workflow of this email waits for a decision", errors.Join(ErrNotOpen, err))
	case errors.As(err, &late), errors.As(err, &deadline), errors.As(err, &cancelled),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(fault.TemporalUnavailable,
			"no worker answered in time; look at the email's state before you decide again", err)
	case errors.As(err, &away), errors.As(err, &busy), errors.As(err, &notReady):
		return fault.Wrap(fault.TemporalUnavailable, "Temporal does not answer; nothing was decided", err)
	}
	return fault.Wrap(fault.Internal, "something went wrong inside Mailroom; look at the email's state before you decide again", err)
}
