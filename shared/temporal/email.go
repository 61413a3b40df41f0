package temporal

import (
	"encoding/hex"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
)

// The search attributes that are set when an email is started.
var (
	attrState  = temporal.NewSearchAttributeKeyKeyword(contract.AttrState)
	attrTenant = temporal.NewSearchAttributeKeyKeyword(contract.AttrTenant)
	attrSource = temporal.NewSearchAttributeKeyKeyword(contract.AttrSource)
)

// workflowTaskTimeout is how long Temporal waits for a worker before it passes a
// workflow task to another one.
const workflowTaskTimeout = 10 * time.Second

// EmailOptions returns the options with which every email's workflow is started. An ID
// that was used before is refused with an error. The memo has bodySHA256, which
// distinguishes a repeat from another event with the same id.
func EmailOptions(e contract.Email, bodySHA256 [32]byte) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                                       e.WorkflowID,
		TaskQueue:                                contract.TaskQueue,
		WorkflowTaskTimeout:                      workflowTaskTimeout,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			attrState.ValueSet(string(contract.Processing)),
			attrTenant.ValueSet(e.Tenant),
			attrSource.ValueSet(e.Source),
		),
		Memo:          map[string]any{contract.MemoBodySHA256: hex.EncodeToString(bodySHA256[:])},
		StaticSummary: e.Source + " · " + e.Tenant,
	}
}
