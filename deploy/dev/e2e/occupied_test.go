package e2e_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"mailroom/shared/contract"
)

// occupy starts a workflow of another program under an ID.
func (w *world) occupy(id string) {
	w.t.Helper()
	_, err := w.tc.ExecuteWorkflow(w.t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "of-another-program"}, "Invoice")
	require.NoError(w.t, err)
}

// TestEmailBehindAForeignWorkflow: an event whose workflow ID another workflow has was
// answered 200 and never processed. It is shown with the cause, and once the other one is
// gone a person retries it. Mailroom's own workflows have no ID that an event can have.
func TestEmailBehindAForeignWorkflow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*settings) {})
	for _, id := range []string{"replay-1", "mailroom/replay/1", contract.MaintenanceSchedule, "mailroom-tend"} {
		w.accept(shapeA(id, "support").json())
		w.until(id, "delivered")
	}
	w.runMaintenance()
	again := w.replay(map[string]any{"from": "routing", "filter": map[string]any{"q": "replay-1"}})
	require.NotEmpty(t, again.Results, "the replay of the same number runs")

	id, unwanted := newID(), newID()
	for _, taken := range []string{id, unwanted} {
		w.occupy(taken)
		w.accept(shapeA(taken, "support").json())
		e := w.until(taken, "quarantined")
		require.Equal(t, "internal", e.Reason)
		require.Contains(t, e.Detail, `of type "Invoice"`)
	}
	status := w.api(http.MethodPost, "/emails/"+url.PathEscape(id)+"/decisions", map[string]string{"action": "approve", "note": "no"}, nil)
	require.Equal(t, http.StatusConflict, status, "there is nothing to approve")

	w.run("mailctl", "emails", "discard", unwanted, "--note", "end to end")
	require.Equal(t, "discarded", w.email(unwanted).State)

	require.NoError(t, w.tc.TerminateWorkflow(t.Context(), id, "", "it was a mistake"))
	w.forget(id)
	w.gone(id)
	number := w.count(`SELECT id FROM emails WHERE event_id = $1`, id)
	w.run("mailctl", "emails", "retry", "--number", strconv.Itoa(number), "--note", "end to end")
	e := w.until(id, "delivered")
	require.Len(t, e.Decisions, 1)
	require.Equal(t, "retry", e.Decisions[0].Action)
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
	require.Empty(t, w.effects(unwanted))
}
