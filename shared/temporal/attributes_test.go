package temporal

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/testenv"
)

// TestMissingSearchAttributesAreNamed: in a namespace without them every email stayed
// processing, while all programs said that they were ready.
func TestMissingSearchAttributesAreNamed(t *testing.T) {
	t.Parallel()
	address, name := testenv.Temporal(t), "bare-"+rand.Text()
	o := client.Options{HostPort: address, Namespace: name}
	spaces, err := client.NewNamespaceClient(o)
	require.NoError(t, err)
	defer spaces.Close()
	require.NoError(t, spaces.Register(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: name, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	}))
	c, err := client.NewLazyClient(o)
	require.NoError(t, err)
	defer c.Close()

	testenv.Eventually(t, func() bool { // every part of the server has to know the namespace
		return fault.Is(CheckSearchAttributes(t.Context(), c), fault.ConfigInvalid)
	}, time.Minute, 100*time.Millisecond)
	err = CheckSearchAttributes(t.Context(), c)
	require.ErrorContains(t, err, "MailState, MailReason, MailTenant, MailSource, MailRoute, MailDestinations")

	attributes := map[string]enums.IndexedValueType{}
	for _, attribute := range contract.SearchAttributes[:5] {
		attributes[attribute] = enums.INDEXED_VALUE_TYPE_KEYWORD
	}
	add := func() {
		_, err := c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{Namespace: name, SearchAttributes: attributes})
		require.NoError(t, err)
	}
	add()
	testenv.Eventually(t, func() bool {
		err = CheckSearchAttributes(t.Context(), c)
		return err != nil && fault.From(err).Public == "the namespace lacks the search attributes MailDestinations: register them as deploy/compose/temporal-setup.sh does"
	}, time.Minute, 100*time.Millisecond, "%v", err)

	attributes[contract.AttrDestinations] = enums.INDEXED_VALUE_TYPE_KEYWORD_LIST
	add()
	testenv.Eventually(t, func() bool { return CheckSearchAttributes(t.Context(), c) == nil }, time.Minute, 100*time.Millisecond)
}
