package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// decideTimeout is how long a decision waits for a worker to take it: longer than
// Temporal keeps a task for a worker that was killed, which is 5 s.
const decideTimeout = 12 * time.Second

// Updater is the part of Temporal's client that a decision needs.
type Updater interface {
	UpdateWorkflow(ctx context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error)
}

// TemporalDecider sends decisions as the update decide and waits until the
// workflow has taken or refused them.
type TemporalDecider struct {
	updater Updater
	timeout time.Duration
}

var _ Decider = (*TemporalDecider)(nil)

// NewTemporalDecider makes a decider on a Temporal client, which stays the caller's.
func NewTemporalDecider(updater Updater) *TemporalDecider {
	return &TemporalDecider{updater: updater, timeout: decideTimeout}
}

// Decide waits at most five seconds. A decision whose answer did not come in
// time may still be taken; repeating it harms nothing, because a workflow
// refuses what its state does not allow.
func (t *TemporalDecider) Decide(ctx context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	var result contract.DecisionResult
	handle, err := t.updater.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID:   workflowID,
		UpdateName:   contract.UpdateDecide,
		Args:         []any{d},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, &result)
	}
	if err != nil {
		return contract.DecisionResult{}, decideFault(fmt.Errorf("update workflow %s: %w", workflowID, err))
	}
	return result, nil
}

// decideFault translates what Temporal says to a decision.
func decideFault(err error) error {
	var (
		panicked  *temporal.PanicError
		refused   *temporal.ApplicationError
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
		return fault.Wrap(fault.DecisionRefused, refused.Message(), err)
	case errors.As(err, &notFound):
		return fault.Wrap(fault.DecisionRefused, "no workflow of this email waits for a decision", err)
	case errors.As(err, &late), errors.As(err, &deadline), errors.As(err, &cancelled),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(fault.TemporalUnavailable,
			"no worker answered in time; look at the email's state before you decide again", err)
	case errors.As(err, &away), errors.As(err, &busy), errors.As(err, &notReady):
		return fault.Wrap(fault.TemporalUnavailable, "Temporal does not answer; nothing was decided", err)
	}
	return fault.Wrap(fault.Internal, "something went wrong inside Mailroom; look at the email's state before you decide again", err)
}
