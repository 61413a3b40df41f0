package temporal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"mailroom/shared/contract"
)

// Describer is the part of Temporal's client that looks at a workflow.
type Describer interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// Occupant is the workflow that a workflow ID names: the one that runs, else the last
// one that did. That an ID is taken says nothing of what took it: Type and the memo do.
type Occupant struct {
	Type   string
	Status enums.WorkflowExecutionStatus

	memo  map[string]*commonpb.Payload
	memos converter.DataConverter
}

// Look describes the workflow of an ID, whose memo it reads with memos. found is false
// where Temporal knows no workflow of this ID (any more), which is no error.
func Look(ctx context.Context, d Describer, memos converter.DataConverter, workflowID string) (o Occupant, found bool, err error) {
	got, err := d.DescribeWorkflowExecution(ctx, workflowID, "")
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return Occupant{}, false, nil
	}
	if err != nil {
		return Occupant{}, false, fmt.Errorf("describe workflow %s: %w", workflowID, err)
	}

	info := got.GetWorkflowExecutionInfo()
	return Occupant{
		Type: info.GetType().GetName(), Status: info.GetStatus(), memo: info.GetMemo().GetFields(), memos: memos,
	}, true, nil
}

// Running reports whether the workflow has not ended.
func (o Occupant) Running() bool { return o.Status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING }

// Completed reports whether the workflow came to an end of its own.
func (o Occupant) Completed() bool { return o.Status == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED }

// Forced reports whether the workflow was ended by force, or failed: what it has done
// is not known.
func (o Occupant) Forced() bool {
	switch o.Status { //nolint:exhaustive // the others are no ends, or proper ones
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
		enums.WORKFLOW_EXECUTION_STATUS_FAILED, enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return true
	}
	return false
}

// Memo returns the text of a memo. It is false where there is none, or none that can
// be read with the keys at hand.
func (o Occupant) Memo(name string) (string, bool) {
	field, ok := o.memo[name]
	if !ok {
		return "", false
	}
	var text string
	err := o.memos.FromPayload(field, &text)
	return text, err == nil
}

// IsEmail reports whether the workflow is the kind that processes one email.
func (o Occupant) IsEmail() bool { return o.Type == contract.InboundEmailWorkflow }

// CameWith reports whether the workflow is that of an email, and was started for this
// body. A memo that is missing or cannot be read makes it false.
func (o Occupant) CameWith(bodySHA256 [32]byte) bool {
	sum, ok := o.Memo(contract.MemoBodySHA256)
	return o.IsEmail() && ok && sum == hex.EncodeToString(bodySHA256[:])
}
