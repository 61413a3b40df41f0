package temporal

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// occupied answers every start with "already started", by a workflow that info describes.
type occupied struct {
	ReplayClient
	options client.StartWorkflowOptions
	info    *workflowpb.WorkflowExecutionInfo
	err     error
}

func (o *occupied) ExecuteWorkflow(_ context.Context, options client.StartWorkflowOptions, _ any, _ ...any) (client.WorkflowRun, error) {
	o.options = options
	return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("it is there", "request", "run")
}

func (o *occupied) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if id != o.options.ID {
		return nil, errors.New("asked for another workflow")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: o.info}, o.err
}

// TestReplayWhoseIDIsTaken: a replay whose workflow ID another workflow used was taken
// for started, seemed to run for ever, and blocked further replays of its cause.
func TestReplayWhoseIDIsTaken(t *testing.T) {
	t.Parallel()
	const running = enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	for name, c := range map[string]struct {
		workflow, number string
		status           enums.WorkflowExecutionStatus
		err              error
		code             fault.Code // empty: it is success
	}{
		"its own, running":         {contract.ReplayWorkflow, "7", running, nil, ""},
		"its own, ended":           {contract.ReplayWorkflow, "7", enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, nil, ""},
		"its own, in its next run": {contract.ReplayWorkflow, "7", enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW, nil, ""},
		"its own, terminated":      {contract.ReplayWorkflow, "7", enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, nil, fault.DecisionRefused},
		"another replay":           {contract.ReplayWorkflow, "8", running, nil, fault.DecisionRefused},
		"a replay of no number":    {contract.ReplayWorkflow, "", running, nil, fault.DecisionRefused},
		"an email":                 {contract.InboundEmailWorkflow, "7", running, nil, fault.DecisionRefused},
		"nothing any more":         {contract.ReplayWorkflow, "7", running, serviceerror.NewNotFound("gone"), fault.TemporalUnavailable},
		"unknown":                  {contract.ReplayWorkflow, "7", running, errors.New("down"), fault.TemporalUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memos := converter.GetDefaultDataConverter()
			c1 := &occupied{err: c.err, info: &workflowpb.WorkflowExecutionInfo{
				Type: &commonpb.WorkflowType{Name: c.workflow}, Status: c.status,
			}}
			if c.number != "" {
				payload, err := memos.ToPayload(c.number)
				require.NoError(t, err)
				c1.info.Memo = &commonpb.Memo{Fields: map[string]*commonpb.Payload{contract.MemoReplay: payload}}
			}

			err := NewReplays(c1, memos).StartReplay(t.Context(), 7, false)
			require.Equal(t, "mailroom/replay/7", c1.options.ID)
			require.Equal(t, map[string]any{contract.MemoReplay: "7"}, c1.options.Memo)
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, c.code), err)
		})
	}
}
