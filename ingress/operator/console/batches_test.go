package console

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/ingress/operator/operations"
	"mailroom/shared/ledger"
)

func TestWhatADryRunFoundInWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, []tally{{"decided", 3}, {"content_removed", 1}, {"started", 1}},
		byCount(map[ledger.ReplayCode]int64{ledger.ItemStarted: 1, ledger.ItemContentRemoved: 1, ledger.ItemDecided: 3}))
	require.Equal(t, []tally{{"raw", 1}, {"route", 2}}, byName(map[string]int64{"route": 2, "raw": 1}))
	require.Equal(t, "started\nto: nothing → crm", effectOf(ledger.ReplaySample{
		EventID: "e", Source: "s", Would: ledger.ItemStarted, Changes: []ledger.Change{{Field: "to", After: "crm"}},
	}))

	item := ledger.ReplayItem{EventID: "e", WorkflowID: "e~00", Code: ledger.ItemDuplicate}
	require.Equal(t, "e~00", itemID(item))
	require.Equal(t, "duplicate", itemDetail(item))
	item.Code, item.Detail = ledger.ItemNotHeld, "it has ended"
	require.Equal(t, "e", itemID(item))
	require.Equal(t, "it has ended", itemDetail(item))
}

func TestConditionsOfARule(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"recipient: support@*", "sender: a", "header X-Case: *"}, conditions(operations.RouteRow{
		Name: "cases", When: map[string]string{"sender": "a", "recipient": "support@*"}, Header: map[string]string{"X-Case": "*"},
	}))
}

func TestShareIsRoundedDown(t *testing.T) {
	t.Parallel()
	require.Equal(t, "96.00 %", share(96, 100))
	require.Equal(t, "99.99 %", share(999_999, 1_000_000), "not all is not 100 %")
}
