package temporal

import (
	"encoding/hex"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"mailroom/shared/contract"
)

// The search attributes that an email has from its start.
var (
	attrState  = temporal.NewSearchAttributeKeyKeyword(contract.AttrState)
	attrTenant = temporal.NewSearchAttributeKeyKeyword(contract.AttrTenant)
	attrSource = temporal.NewSearchAttributeKeyKeyword(contract.AttrSource)
)

// workflowTaskTimeout is how soon a workflow task is given to another worker.
const workflowTaskTimeout = 10 * time.Second

// EmailOptions are those of every workflow of an email, whoever starts it: an ID that
// was ever used is refused with an error. bodySHA256 goes into the memo, by which a
// repeat is told from another event under the same id.
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
