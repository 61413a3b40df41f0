package worker

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

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/temporal"
)

// callTimeout bounds one call to Temporal.
const callTimeout = 5 * time.Second

// executions decides about, starts and describes the workflows of emails.
type executions struct {
	client  client.Client
	decider *temporal.Decider
	memo    converter.DataConverter // decodes memos
}

func newExecutions(c client.Client, memo converter.DataConverter) executions {
	return executions{client: c, decider: temporal.NewDecider(c), memo: memo}
}

var (
	_ activities.Decider      = executions{}
	_ activities.EmailStarter = executions{}
	_ activities.Executions   = executions{}
)

// Decide implements activities.Decider. A repeated intent has no
// second effect within a run.
func (c executions) Decide(ctx context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error) {
	out, err := c.decider.Decide(ctx, workflowID, d)
	if errors.Is(err, temporal.ErrNotOpen) {
		return out, fault.Wrap(fault.NotFound, "no workflow of this email is running", err)
	}
	return out, err
}

// Taken implements activities.Decider.
func (c executions) Taken(ctx context.Context, workflowID string, intent int64) (contract.DecisionResult, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.decider.Taken(ctx, workflowID, intent)
}

// Start implements activities.EmailStarter. The new run has the ID of those before it,
// so that at most one is running.
func (c executions) Start(ctx context.Context, e *ledger.ReplayEmail, again contract.Replayed) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	options := temporal.EmailOptions(e.Email(), e.BodySHA256)
	options.WorkflowIDReusePolicy = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	options.Memo[contract.MemoReplay] = strconv.FormatInt(again.ID, 10)
	_, err := c.client.ExecuteWorkflow(ctx, options, contract.InboundEmailWorkflow, contract.InboundEmailInput{
		// The time from receipt was measured in the first run; this one counts from here.
		Email: e.Email(), ReceivedAtUnixMilli: time.Now().UnixMilli(), Replay: &again,
	})
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return fault.Wrap(fault.DecisionRefused, "its workflow is running", err)
	}
	return fault.Wrap(fault.TemporalUnavailable, "Temporal did not start the workflow", fmt.Errorf("start workflow: %w", err))
}

// Execution implements activities.Executions.
func (c executions) Execution(ctx context.Context, workflowID string) (activities.Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	o, found, err := temporal.Describe(ctx, c.client, c.memo, workflowID)
	switch {
	case err != nil:
		return activities.Execution{}, fault.Wrap(fault.TemporalUnavailable, "Temporal does not answer", err)
	case !found:
		return activities.Execution{}, nil
	case !o.IsEmail():
		return activities.Execution{Foreign: true}, nil
	}

	out := activities.Execution{Running: o.Running(), Ended: o.Completed(), Forced: !o.Running() && !o.Completed()}
	if text, ok := o.Memo(contract.MemoReplay); ok {
		out.Replay, _ = strconv.ParseInt(text, 10, 64) // another program's memo names no replay
	}
	return out, nil
}

// Healthy implements activities.Executions.
func (c executions) Healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.client.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err == nil
}
