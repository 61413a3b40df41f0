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

// Describer is the part of Temporal's client that describes a workflow.
type Describer interface {
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
}

// Occupant is the workflow that has a workflow ID: the running one, otherwise the last
// one. "Already started" does not say what uses the ID; Type and the memo do.
type Occupant struct {
	Type   string
	Status enums.WorkflowExecutionStatus

	memo  map[string]*commonpb.Payload
	memos converter.DataConverter
}

// Describe returns the workflow of an ID. It decodes the memo with memos. found is false
// if Temporal has no workflow of this ID, which is no error.
func Describe(ctx context.Context, d Describer, memos converter.DataConverter, workflowID string) (o Occupant, found bool, err error) {
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

// Completed reports whether the workflow returned without an error.
func (o Occupant) Completed() bool { return o.Status == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED }

// Forced reports whether the workflow was terminated, or failed: it is not known how far
// it came.
func (o Occupant) Forced() bool {
	switch o.Status { //nolint:exhaustive // the others are running or completed
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
		enums.WORKFLOW_EXECUTION_STATUS_FAILED, enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return true
	}
	return false
}

// Memo returns the text of a memo. The result is false if there is none, or none that
// the available keys can decrypt.
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
// body. It is false if the memo is missing or cannot be decrypted.
func (o Occupant) CameWith(bodySHA256 [32]byte) bool {
	sum, ok := o.Memo(contract.MemoBodySHA256)
	return o.IsEmail() && ok && sum == hex.EncodeToString(bodySHA256[:])
}
