package workflows_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/temporal"
)

// TestServerEndsInOneTask: a discard whose sender tells the ledger is taken and ends the
// email in the same workflow task. The answer, with what the ledger has to record, can
// be had again once the workflow has ended.
func TestServerEndsInOneTask(t *testing.T) {
	t.Parallel()
	s := infectedScript()
	d := s.intend(7, contract.IntentResult{Action: contract.Discard, Actor: "olga", Via: contract.ViaReplay})
	d.Records = true
	o := newCourse(t, "hold_ends_in_one_task", s)
	o.until(func(contract.Status) bool { // the ledger has the hold, and the workflow knows
		types := typesOf(fetch(t.Context(), t, o.c, o.id))
		recorded := slices.Index(types, enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
		return recorded >= 0 && slices.Contains(types[recorded:], enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
	})
	decider := temporal.NewDecider(o.c)
	_, taken, err := decider.Taken(t.Context(), o.id, 7)
	require.NoError(t, err)
	require.False(t, taken)

	first, err := decider.Decide(t.Context(), o.id, d)
	require.NoError(t, err)
	require.Equal(t, contract.Discarded, first.State)
	require.NotNil(t, first.Record)
	require.Equal(t, contract.Discarded, first.Record.State)
	require.Equal(t, contract.Quarantined, first.Record.Before)
	require.Equal(t, contract.Infected, first.Record.DecidedReason)
	require.Equal(t, &contract.Decision{Intent: 7, Action: contract.Discard, Actor: "olga", Via: contract.ViaReplay}, first.Record.Decision)
	require.True(t, first.Record.Verified)
	require.Equal(t, input().Email, first.Record.Email)
	out, runs := o.finish("hold_ends_in_one_task")
	require.Equal(t, contract.Discarded, out.State)
	require.Equal(t, 1, out.Decisions)
	s.calls.Lock()
	require.Len(t, s.calls.records, 1, "the workflow itself told the ledger of the hold alone")
	require.Greater(t, first.Record.Sequence, s.calls.records[0].Sequence)
	s.calls.Unlock()

	after := typesOf(runs[0])
	after = after[slices.Index(after, enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED):]
	require.NotContains(t, after, enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
	require.NotContains(t, after, enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
	require.Equal(t, enums.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, after[len(after)-1])

	again, err := decider.Decide(t.Context(), o.id, d)
	require.NoError(t, err)
	require.Equal(t, first, again)
	again, taken, err = decider.Taken(t.Context(), o.id, 7)
	require.NoError(t, err)
	require.True(t, taken)
	require.Equal(t, first, again)
	_, taken, err = decider.Taken(t.Context(), o.id, 8)
	require.NoError(t, err)
	require.False(t, taken)
	_, err = decider.Decide(t.Context(), o.id, contract.Decision{Intent: 8, Records: true})
	require.ErrorIs(t, err, temporal.ErrNotOpen)
	require.True(t, fault.Is(err, fault.DecisionRefused))
}

func typesOf(h *historypb.History) []enums.EventType {
	var out []enums.EventType
	for _, e := range h.GetEvents() {
		out = append(out, e.GetEventType())
	}
	return out
}
