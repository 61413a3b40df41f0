package stack

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// SearchAttribute is one typed name under which workflows are found.
type SearchAttribute struct {
	Name string
	Type enums.IndexedValueType
}

const (
	keyword     = enums.INDEXED_VALUE_TYPE_KEYWORD
	keywordList = enums.INDEXED_VALUE_TYPE_KEYWORD_LIST

	defaultNamespace = "default"
	eventuallyPoll   = 100 * time.Millisecond
	retention        = 72 * time.Hour // of a namespace for tests
)

// temporalClient calls what the SDK's client does not: it checks whether a Temporal server
// is usable yet, and makes a namespace.
type temporalClient struct {
	workflows workflowservice.WorkflowServiceClient
	operator  operatorservice.OperatorServiceClient
}

func withTemporal(address string, do func(temporalClient) error) error {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("connect to temporal: %w", err)
	}
	defer func() { _ = conn.Close() }()
	return do(temporalClient{workflowservice.NewWorkflowServiceClient(conn), operatorservice.NewOperatorServiceClient(conn)})
}

// searchable returns nil when workflows can be found by every search attribute, which
// implies that they can be started with them.
func (c temporalClient) searchable(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, attribute := range SearchAttributes() {
		_, err := c.workflows.CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: namespace, Query: attribute.Name + " = 'x'",
		})
		if err != nil {
			return fmt.Errorf("temporal does not know search attribute %s: %w", attribute.Name, err)
		}
	}
	return nil
}

// polled returns nil when a worker polls for workflow and activity tasks.
func (c temporalClient) polled(ctx context.Context, namespace, queue string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, kind := range []enums.TaskQueueType{enums.TASK_QUEUE_TYPE_WORKFLOW, enums.TASK_QUEUE_TYPE_ACTIVITY} {
		answer, err := c.workflows.DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
			Namespace: namespace, TaskQueue: &taskqueue.TaskQueue{Name: queue}, TaskQueueType: kind,
		})
		if err != nil {
			return fmt.Errorf("ask for pollers of task queue %s: %w", queue, err)
		}
		if len(answer.GetPollers()) == 0 {
			return fmt.Errorf("no worker polls task queue %s", queue)
		}
	}
	return nil
}

// createNamespace makes a namespace with Mailroom's search attributes.
func (c temporalClient) createNamespace(ctx context.Context, namespace string) error {
	_, err := c.workflows.RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("create namespace %s: %w", namespace, err)
	}

	attributes := map[string]enums.IndexedValueType{}
	for _, attribute := range SearchAttributes() {
		attributes[attribute.Name] = attribute.Type
	}
	return eventually(ctx, 30*time.Second, func() error {
		// Every part of the server knows the namespace a moment after it is made.
		_, err := c.operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: namespace, SearchAttributes: attributes,
		})
		if err != nil {
			return fmt.Errorf("register search attributes in %s: %w", namespace, err)
		}
		return c.searchable(ctx, namespace)
	})
}

// eventually repeats try until it returns nil, and returns the last error of try when that
// takes longer than patience.
func eventually(ctx context.Context, patience time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	poll := time.NewTicker(eventuallyPoll)
	defer poll.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-poll.C:
		}
	}
}
