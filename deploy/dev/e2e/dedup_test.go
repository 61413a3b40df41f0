package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"

	"mailroom/deploy/dev/stack"
	"mailroom/shared/testenv"
)

// duplicates reads the counter of the running ingress.
func (w *world) duplicates() int {
	w.t.Helper()
	value := metricOf(w, stack.Ingress, `mailroom_duplicates_total{source="mailparse"}`)
	n, err := strconv.ParseFloat(value, 64)
	require.NoError(w.t, err, "the counter says %q", value)
	return int(n)
}

// repeats posts copies of what was accepted before; each is answered 2xx, says so
// and is counted.
func (w *world) repeats(body []byte, copies int) {
	w.t.Helper()
	before := w.duplicates()
	require.Zero(w.t, w.copiesAtOnce(body, copies), "none of them is the first")
	require.Equal(w.t, before+copies, w.duplicates())
}

func (w *world) copiesAfterEnd() {
	id := newID()
	body := shapeA(id, "support").json()
	w.accept(body)
	w.once(id)
	w.ended(id)
	w.repeats(body, 20)
	w.once(id)
	require.Equal(w.t, 1, w.rows(id))
}

// ended waits until the workflow of an email is closed.
func (w *world) ended(id string) {
	w.t.Helper()
	testenv.Eventually(w.t, func() bool {
		x, err := w.tc.DescribeWorkflowExecution(w.t.Context(), id, "")
		return err == nil && x.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
	}, patience, tick)
}

func (w *world) rows(id string) int {
	w.t.Helper()
	return w.count(`SELECT count(*) FROM emails WHERE event_id = $1`, id)
}

// forget deletes a closed workflow, as the end of Temporal's retention does. Temporal
// takes its time.
func (w *world) forget(id string) {
	w.t.Helper()
	w.ended(id)
	_, err := w.tc.WorkflowService().DeleteWorkflowExecution(w.t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: w.infra.TemporalNamespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id},
	})
	require.NoError(w.t, err)
}

// gone waits until Temporal has forgotten a workflow.
func (w *world) gone(id string) {
	w.t.Helper()
	testenv.Eventually(w.t, func() bool {
		_, err := w.tc.DescribeWorkflowExecution(w.t.Context(), id, "")
		var gone *serviceerror.NotFound
		return errors.As(err, &gone)
	}, patience, tick)
}

// copiesAfterRetention: Temporal knows nothing of a delivered email any more, the
// ledger does.
func (w *world) copiesAfterRetention(g gates, id string) {
	body := shapeA(id, "support").json()
	w.gone(id)
	w.repeats(body, 20)
	_, err := w.tc.DescribeWorkflowExecution(w.t.Context(), id, "")
	var gone *serviceerror.NotFound
	require.ErrorAs(w.t, err, &gone, "nothing is started again")

	// While the ledger is unavailable the ingress cannot know; the workflow of the copy finds
	// out and does nothing.
	g.postgres.set(refuse)
	require.Equal(w.t, http.StatusOK, w.post(body).Status)
	g.postgres.set(pass)
	w.ended(id)
	w.once(id)
	require.Equal(w.t, 1, w.rows(id))
	require.Equal(w.t, "delivered", w.email(id).State)
}

// copiesByWays: one copy is taken by the database and another by Temporal.
func (w *world) copiesByWays(g gates) {
	// Temporal first.
	id := newID()
	body := shapeA(id, "support").json()
	g.postgres.set(refuse)
	require.False(w.t, w.post(body).Duplicate)
	w.repeats(body, 5) // told by Temporal
	g.postgres.set(pass)
	require.Equal(w.t, http.StatusOK, w.post(body).Status) // by the inbox or by Temporal, before or after the row is written
	w.once(id)
	w.backToDatabase()
	w.repeats(body, 5)
	require.Equal(w.t, 1, w.rows(id))

	// The database first.
	id = newID()
	body = shapeA(id, "support").json()
	require.False(w.t, w.post(body).Duplicate)
	w.once(id)
	g.postgres.set(refuse)
	w.repeats(body, 5)
	g.postgres.set(pass)
	w.once(id)
	require.Equal(w.t, 1, w.rows(id))

	// The database first, and Temporal before the workflow was started.
	id = newID()
	body = shapeA(id, "support").json()
	g.temporal.set(refuse)
	require.False(w.t, w.post(body).Duplicate)
	g.postgres.set(refuse)
	g.temporal.set(pass)
	require.Equal(w.t, http.StatusOK, w.retry(body).Status)
	g.postgres.set(pass)
	w.once(id)
	require.Equal(w.t, 1, w.rows(id))
}

// backToDatabase waits until the ingress uses the database again.
func (w *world) backToDatabase() {
	w.t.Helper()
	testenv.Eventually(w.t, func() bool {
		id := newID()
		w.accept(shapeA(id, "support").json())
		return w.rows(id) == 1
	}, patience, tick)
}

// conflictsByWays: another body under the same id, each of the two taken by the
// database or by Temporal.
func (w *world) conflictsByWays(g gates) {
	for _, ways := range [][2]mode{{pass, refuse}, {refuse, pass}, {refuse, refuse}} {
		id := newID()
		first := shapeA(id, "support").json()
		second := shapeA(id, "support").with(fields{"text": "something else"}).json()
		g.postgres.set(ways[0])
		if ways[0] == pass {
			w.backToDatabase()
		}
		require.Equal(w.t, answer{Status: http.StatusOK, OK: true, ID: id}, w.post(first), "%v", ways)
		if ways[1] == pass {
			g.postgres.set(pass)
			w.once(id)
			w.backToDatabase()
		}
		g.postgres.set(ways[1])
		require.Equal(w.t, answer{Status: http.StatusOK, OK: true, ID: id}, w.post(second), "%v", ways)
		g.postgres.set(pass)
		w.once(id)
		var held []email
		testenv.Eventually(w.t, func() bool {
			held = w.listed("id_conflict", id)
			return len(held) == 1 && held[0].State == "quarantined"
		}, patience, tick, "%v: %v", ways, held)
		detail := w.email(held[0].WorkflowID).Detail
		for _, body := range [][]byte{first, second} {
			sum := sha256.Sum256(body)
			require.Contains(w.t, detail, hex.EncodeToString(sum[:]), "%v", ways)
		}
		w.once(id)
		require.Equal(w.t, 2, w.rows(id))
		w.backToDatabase()
		w.repeats(first, 3)
		w.repeats(second, 3)
	}
}
