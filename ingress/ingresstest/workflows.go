package ingresstest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/seal"
	"mailroom/shared/temporal"
)

// Workflows records starts. answer, when set, decides what each gets.
type Workflows struct {
	mu      sync.Mutex
	Starts  []client.StartWorkflowOptions
	Inputs  []contract.InboundEmailInput
	now     int
	most    int
	Answer  func(ctx context.Context, id string) error
	Started chan string
	ended   bool // every workflow was terminated
	// occupants have IDs without having been started here; lost fails each look.
	occupants map[string]*workflowpb.WorkflowExecutionInfo
	Lost      error
}

// Occupy lets a workflow have an ID without having been started here: of this type, for a
// body where it is not empty.
func (w *Workflows) Occupy(t *testing.T, id, workflowType, body string, status enums.WorkflowExecutionStatus) {
	t.Helper()
	info := &workflowpb.WorkflowExecutionInfo{Type: &commonpb.WorkflowType{Name: workflowType}, Status: status}
	if body != "" {
		payload, err := Memos.ToPayload(SumOf([]byte(body)))
		require.NoError(t, err)
		info.Memo = &commonpb.Memo{Fields: map[string]*commonpb.Payload{contract.MemoBodySHA256: payload}}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.occupants == nil {
		w.occupants = map[string]*workflowpb.WorkflowExecutionInfo{}
	}
	w.occupants[id] = info
}

// ExecuteWorkflow implements accept.Workflows and dispatch.Workflows.
func (w *Workflows) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	w.mu.Lock()
	if workflow != contract.InboundEmailWorkflow {
		w.mu.Unlock()
		return nil, fmt.Errorf("workflow %v", workflow)
	}
	w.Starts = append(w.Starts, o)
	w.Inputs = append(w.Inputs, args[0].(contract.InboundEmailInput))
	w.now++
	w.most = max(w.most, w.now)
	answer, started := w.Answer, w.Started
	_, occupied := w.occupants[o.ID]
	w.mu.Unlock()

	defer func() {
		w.mu.Lock()
		w.now--
		w.mu.Unlock()
	}()
	if started != nil {
		started <- o.ID
	}
	if occupied {
		return nil, serviceerror.NewWorkflowExecutionAlreadyStarted("it is there", "request", "run")
	}
	if answer != nil {
		return nil, answer(ctx, o.ID)
	}
	return nil, nil
}

// Memos encrypts and reads memos, as the client of a program with keys does.
var Memos = func() converter.DataConverter {
	keys, err := seal.New(config.Encryption{Keys: []config.EncryptionKey{{ID: "k", Key: config.NewSecret(strings.Repeat("0a", seal.KeySize))}}})
	if err != nil {
		panic(err)
	}
	return temporal.Converter(keys)
}()

// DescribeWorkflowExecution implements temporal.Describer: it describes the first start of
// an id, or what occupies it.
func (w *Workflows) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Lost != nil {
		return nil, w.Lost
	}
	if info, ok := w.occupants[id]; ok {
		return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, nil
	}
	for _, o := range w.Starts {
		if o.ID != id {
			continue
		}

		fields := map[string]*commonpb.Payload{}
		for name, value := range o.Memo {
			payload, err := Memos.ToPayload(value)
			if err != nil {
				return nil, err
			}
			fields[name] = payload
		}
		info := &workflowpb.WorkflowExecutionInfo{
			Memo: &commonpb.Memo{Fields: fields}, Type: &commonpb.WorkflowType{Name: contract.InboundEmailWorkflow},
			Status: enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
		}
		if w.ended {
			info.Status = enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
		}
		return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: info}, nil
	}
	return nil, serviceerror.NewNotFound("no such workflow")
}

// Once makes a second start of an id fail as Temporal does.
func (w *Workflows) Once() {
	seen := map[string]bool{}
	var mu sync.Mutex
	w.SetAnswer(func(_ context.Context, id string) error {
		mu.Lock()
		defer mu.Unlock()
		if seen[id] {
			return serviceerror.NewWorkflowExecutionAlreadyStarted("", "", "")
		}
		seen[id] = true
		return nil
	})
}

// SetAnswer sets Answer while starts come.
func (w *Workflows) SetAnswer(f func(ctx context.Context, id string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Answer = f
}

// Peak returns how many starts were in flight together at most.
func (w *Workflows) Peak() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// Terminate lets every workflow have been terminated.
func (w *Workflows) Terminate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}

// IDs returns the workflow ID of each start, in order.
func (w *Workflows) IDs() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]string, len(w.Starts))
	for i, o := range w.Starts {
		out[i] = o.ID
	}
	return out
}
