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

// courseTimeout bounds one call to Temporal.
const courseTimeout = 5 * time.Second

// courses reaches the workflows of emails through Temporal's client.
type courses struct {
	client  client.Client
	decider *temporal.Decider
	memo    converter.DataConverter // what memos were written with
}

func newCourses(c client.Client, memo converter.DataConverter) courses {
	return courses{client: c, decider: temporal.NewDecider(c), memo: memo}
}

var _ activities.Courses = courses{}

// Decide implements activities.Courses. Temporal takes an intent once within a run.
func (c courses) Decide(ctx context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error) {
	out, err := c.decider.Decide(ctx, workflowID, d)
	if errors.Is(err, temporal.ErrNotOpen) {
		return out, fault.Wrap(fault.NotFound, "no workflow of this email is under way", err)
	}
	return out, err
}

// Taken implements activities.Courses.
func (c courses) Taken(ctx context.Context, workflowID string, intent int64) (contract.DecisionResult, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, courseTimeout)
	defer cancel()
	return c.decider.Taken(ctx, workflowID, intent)
}

// Start implements activities.Courses. The new run has the ID of those before it,
// so that there is never more than one under way.
func (c courses) Start(ctx context.Context, e *ledger.ReplayEmail, again contract.Replayed) error {
	ctx, cancel := context.WithTimeout(ctx, courseTimeout)
	defer cancel()
	options := temporal.EmailOptions(e.Email(), e.BodySHA256)
	options.WorkflowIDReusePolicy = enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	options.Memo[contract.MemoReplay] = strconv.FormatInt(again.ID, 10)
	_, err := c.client.ExecuteWorkflow(ctx, options, contract.InboundEmailWorkflow, contract.InboundEmailInput{
		// Its time counts from here: the time from receipt was measured the first time.
		Email: e.Email(), ReceivedAtUnixMilli: time.Now().UnixMilli(), Replay: &again,
	})
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case err == nil:
		return nil
	case errors.As(err, &already):
		return fault.Wrap(fault.DecisionRefused, "its workflow is under way", err)
	}
	return fault.Wrap(fault.TemporalUnavailable, "Temporal did not start the workflow", fmt.Errorf("start workflow: %w", err))
}

// Course implements activities.Courses.
func (c courses) Course(ctx context.Context, workflowID string) (activities.Course, error) {
	ctx, cancel := context.WithTimeout(ctx, courseTimeout)
	defer cancel()
	o, found, err := temporal.Describe(ctx, c.client, c.memo, workflowID)
	switch {
	case err != nil:
		return activities.Course{}, fault.Wrap(fault.TemporalUnavailable, "Temporal does not answer", err)
	case !found:
		return activities.Course{}, nil
	case !o.IsEmail():
		return activities.Course{Foreign: true}, nil
	}

	out := activities.Course{Running: o.Running(), Ended: o.Completed(), Forced: !o.Running() && !o.Completed()}
	if text, ok := o.Memo(contract.MemoReplay); ok {
		out.Replay, _ = strconv.ParseInt(text, 10, 64) // another program's memo names no replay
	}
	return out, nil
}

// Healthy implements activities.Courses.
func (c courses) Healthy(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, courseTimeout)
	defer cancel()
	_, err := c.client.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err == nil
}
