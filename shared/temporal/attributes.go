package temporal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

// Counter is the part of Temporal's client that CheckSearchAttributes needs. Operators'
// calls, which list search attributes, need more rights.
type Counter interface {
	CountWorkflow(ctx context.Context, in *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error)
}

// CheckSearchAttributes fails with config_invalid if the client's namespace lacks search
// attributes that workflows set: Temporal then refuses to start any email.
func CheckSearchAttributes(ctx context.Context, c Counter) error {
	var missing []string
	for _, name := range contract.SearchAttributes {
		_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: name + " = 'x'"})
		var unknown *serviceerror.InvalidArgument
		switch {
		case errors.As(err, &unknown):
			missing = append(missing, name)
		case err != nil:
			return fmt.Errorf("count workflows: %w", err)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fault.Newf(fault.ConfigInvalid, "the namespace lacks the search attributes %s: register them as deploy/compose/temporal-setup.sh does",
		strings.Join(missing, ", "))
}
