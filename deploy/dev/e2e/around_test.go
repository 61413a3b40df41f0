package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/contract"
	"mailroom/shared/testenv"
)

// reset runs an email's workflow again from its first task, without the decisions.
func (w *world) reset(id string) {
	w.t.Helper()
	_, err := w.tc.WorkflowService().ResetWorkflowExecution(w.t.Context(), &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: w.infra.TemporalNamespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id},
		Reason: "end to end", WorkflowTaskFinishEventId: 4, RequestId: id + "-reset",
	})
	require.NoError(w.t, err)
}

// TestNoWayAroundAHold: an infected email that two people have to approve is discarded,
// and then replayed and reset by one; a workflow that was ended before its scan is
// replayed from routing. None of it is delivered but by two people, or after a scan.
func TestNoWayAroundAHold(t *testing.T) {
	t.Parallel()
	var g *gate
	w := newWorldOn(t, func(s *settings) { s.More = "approvals: {infected: 2}\n" }, func(i *stack.Infra) {
		g = newGate(t, i.Clamd)
		i.Clamd = g.addr()
	})
	infected := func() string {
		id := w.heldFor(shapeA(newID(), "support").with(fields{"attachments": []any{attached("a.com", "text/plain", eicar())}}), "infected")
		w.run("mailctl", "emails", "discard", id, "--note", "malware")
		w.until(id, "discarded")
		return id
	}
	for _, from := range []string{"routing", "raw"} {
		id := infected()
		row := w.replay(map[string]any{"from": from, "filter": map[string]any{"state": "discarded", "q": id}})
		require.Equal(t, map[string]int64{"started": 1}, row.Results)
		require.Equal(t, "infected", w.until(id, "quarantined").Reason)
		w.run("mailctl", "emails", "approve", id, "--note", "by ada")
		require.Equal(t, "quarantined", w.email(id).State)
		require.Empty(t, w.effects(id), "one person is not two")
		w.run("mailctl", "emails", "discard", id, "--note", "malware")
		w.until(id, "discarded")
	}
	reset := infected()
	w.reset(reset)
	require.Equal(t, "infected", w.until(reset, "quarantined").Reason)
	require.Empty(t, w.effects(reset))

	// Ended before its scan: the scanner is unavailable during its whole life.
	g.set(refuse)
	bad, good := newID(), newID()
	w.accept(shapeA(bad, "support").with(fields{"attachments": []any{attached("a.com", "text/plain", eicar())}}).json())
	w.accept(shapeA(good, "support").with(fields{"attachments": []any{attached("a.txt", "text/plain", []byte("harmless"))}}).json())
	for _, id := range []string{bad, good} {
		w.until(id, "retrying")
		require.NoError(t, w.tc.TerminateWorkflow(t.Context(), id, "", "end to end"))
	}
	g.set(pass)
	dry := w.replay(map[string]any{"from": "routing", "dry_run": true, "filter": map[string]any{"q": bad}})
	require.EqualValues(t, 1, dry.Total)
	row := w.replay(map[string]any{"from": "routing", "filter": map[string]any{"state": "retrying"}})
	require.Equal(t, map[string]int64{"started": 2}, row.Results)
	require.Equal(t, "infected", w.until(bad, "quarantined").Reason)
	require.Empty(t, w.effects(bad))
	w.until(good, "delivered")
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(good))

	// What the ingress found is found by no step: a conflict is held after each replay.
	id := newID()
	w.accept(shapeA(id, "support").with(fields{"text": "one"}).json())
	w.accept(shapeA(id, "support").with(fields{"text": "two"}).json())
	w.until(id, "delivered")
	held := func() bool {
		list := w.listed(string(contract.IDConflict), id)
		return len(list) == 1 && list[0].State == "quarantined"
	}
	testenv.Eventually(t, held, patience, tick)
	workflow := w.listed(string(contract.IDConflict), id)[0].WorkflowID
	w.decide(workflow, "discard")
	w.until(workflow, "discarded")
	row = w.replay(map[string]any{"from": "raw", "filter": map[string]any{"state": "discarded", "q": id}})
	require.Equal(t, map[string]int64{"started": 1}, row.Results)
	testenv.Eventually(t, held, patience, tick)
	require.Equal(t, map[string]int{"/tickets": 1}, w.effects(id))
}
