package ingress

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"testing"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"mailroom/shared/contract"
)

// tryStart starts the row of the inbox with this number once, as the dispatcher does.
func tryStart(t *testing.T, s *starter, ledger *memoryLedger, number int) {
	t.Helper()
	require.True(t, s.limiter.tryAcquire(s.limiter.most))
	row := ledger.rows[number-1]
	waiting := row.waiting
	waiting.Refused = row.refusal != nil
	s.begin(waiting, func(error) {})
}

// TestStartOfAnEmailWhoseIDIsTaken: whatever had the workflow ID of an email was taken
// for the email's own workflow, so that the row was marked started and nobody processed it.
func TestStartOfAnEmailWhoseIDIsTaken(t *testing.T) {
	t.Parallel()
	const running, completed = enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
	for name, c := range map[string]struct {
		workflow, body string
		status         enums.WorkflowExecutionStatus
		want           startResult
		final          bool
		detail         string
	}{
		"its own, running":           {contract.InboundEmailWorkflow, "evt_0", running, startAlready, false, ""},
		"its own, ended":             {contract.InboundEmailWorkflow, "evt_0", completed, startAlready, false, ""},
		"a replay":                   {contract.ReplayWorkflow, "", completed, startOccupied, true, `of type "Replay"`},
		"a replay with its memo":     {contract.ReplayWorkflow, "evt_0", running, startOccupied, true, `of type "Replay"`},
		"another program's":          {"Invoice", "", running, startOccupied, true, `of type "Invoice"`},
		"another body, ended":        {contract.InboundEmailWorkflow, "other", completed, startOccupied, true, "another body"},
		"another body, terminated":   {contract.InboundEmailWorkflow, "other", enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, startOccupied, true, "another body"},
		"another body, running":      {contract.InboundEmailWorkflow, "other", running, startOccupied, false, "not taken this one up"},
		"of no known body, running":  {contract.InboundEmailWorkflow, "", running, startOccupied, false, "not taken this one up"},
		"of no known body and ended": {contract.InboundEmailWorkflow, "", completed, startOccupied, true, "does not tell"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ledger, workflows := &memoryLedger{}, &fakeWorkflows{}
			fill(ledger, 1)
			row := ledger.rows[0]
			row.waiting.BodySHA256 = sha256.Sum256([]byte("evt_0"))
			workflows.occupy(t, "evt_0", c.workflow, c.body, c.status)
			s, log := newTestStarter(t, ledger, workflows)

			tryStart(t, s, ledger, 1)
			require.Equal(t, 1, counted(t, s.metrics.starts.WithLabelValues(string(c.want))))
			require.Equal(t, c.want == startAlready, len(s.marks.ids) == 1, "marked started")
			require.Equal(t, gobreaker.StateClosed, s.breaker.State())
			if c.want == startAlready {
				require.Nil(t, row.refusal)
				return
			}
			require.Contains(t, log.String(), "workflow.refused")

			if !c.final { // shown from the second time on, and tried again
				require.Nil(t, row.refusal)
				tryStart(t, s, ledger, 1)
			}
			require.NotNil(t, row.refusal)
			require.Equal(t, c.final, row.refusal.Final)
			require.Contains(t, row.refusal.Detail, c.detail)
		})
	}
}

// TestStartIsTriedAgainWhileNobodyKnows: that Temporal cannot be asked what has an ID
// says nothing against the row.
func TestStartIsTriedAgainWhileNobodyKnows(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	workflows := &fakeWorkflows{lost: errors.New("deadline exceeded"), answer: func(context.Context, string) error {
		return serviceerror.NewWorkflowExecutionAlreadyStarted("it runs", "request", "run")
	}}
	fill(ledger, 1)
	s, _ := newTestStarter(t, ledger, workflows)
	for range 2 * refusedFinal {
		tryStart(t, s, ledger, 1)
	}
	require.Nil(t, ledger.rows[0].refusal)
	require.Empty(t, s.marks.ids)
	require.Len(t, s.takeBack(), 2*refusedFinal, "it goes back to the inbox")

	workflows.lost = nil
	tryStart(t, s, ledger, 1)
	require.Len(t, s.marks.ids, 1)
}

// TestServerThatTakesNoRowIsNoRowsFault: before its search attributes are registered a
// server refuses every start. Rows are given up only if others go through meanwhile.
func TestServerThatTakesNoRowIsNoRowsFault(t *testing.T) {
	t.Parallel()
	ledger := &memoryLedger{}
	ready := false
	workflows := &fakeWorkflows{answer: func(_ context.Context, id string) error {
		if !ready || id == "evt_0" {
			return serviceerror.NewInvalidArgument("no mapping defined for search attribute MailState")
		}
		return nil
	}}
	fill(ledger, 8)
	s, _ := newTestStarter(t, ledger, workflows)
	for range 3 * refusedFinal {
		tryStart(t, s, ledger, 1)
		tryStart(t, s, ledger, 2)
	}
	for _, row := range ledger.rows[:2] {
		require.NotNil(t, row.refusal, "it is shown")
		require.False(t, row.refusal.Final)
		require.Contains(t, row.refusal.Detail, "Temporal refuses to start its workflow: no mapping defined")
	}

	ready = true
	tryStart(t, s, ledger, 2)
	require.Nil(t, ledger.rows[1].refusal, "what the ledger says of it is taken back")
	for other := 3; other < 3+refusedFinal; other++ {
		require.False(t, ledger.rows[0].refusal.Final)
		tryStart(t, s, ledger, 1)
		tryStart(t, s, ledger, other)
	}
	require.True(t, ledger.rows[0].refusal.Final, "the row alone is to blame")
	require.Empty(t, s.refusedRows.rows)
}

// TestRefusedForGoodRests: a row that Temporal never takes was tried each 30 s for ever
// and shown nowhere.
func TestRefusedForGoodRests(t *testing.T) {
	t.Parallel()
	ledger, workflows := &memoryLedger{}, &fakeWorkflows{}
	fill(ledger, 3)
	workflows.occupy(t, "evt_1", contract.ReplayWorkflow, "", enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	s, _ := newTestStarter(t, ledger, workflows)
	s.start()
	eventually(t, func() bool {
		return ledger.started() == 2 && ledger.count(func(r *memoryRow) bool { return r.parked() }) == 1
	}, "the others are started")
	s.stop()
	rows, err := ledger.ClaimWaiting(t.Context(), 10, claimLease)
	require.NoError(t, err)
	require.Empty(t, rows)
}

// TestRefusedRowsAreBounded: what is remembered of refused rows has an end.
func TestRefusedRowsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRefusedRows()
	for id := range int64(2 * refusedMost) {
		r.add(id)
	}
	require.Len(t, r.rows, refusedMost)
}

// TestCarriedConflictWhoseIDIsTaken: an event whose two workflow IDs were taken by
// something else was answered 200 and is in nobody's hands.
func TestCarriedConflictWhoseIDIsTaken(t *testing.T) {
	t.Parallel()
	body := mailOf("evt_1")
	conflict := contract.ConflictWorkflowID("mailparse", "evt_1", sha256.Sum256([]byte(body)))
	const running, terminated = enums.WORKFLOW_EXECUTION_STATUS_RUNNING, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED
	for name, c := range map[string]struct {
		workflow, body string
		status         enums.WorkflowExecutionStatus
		answer         int
	}{
		"its own":            {contract.InboundEmailWorkflow, body, running, http.StatusOK},
		"its own, by force":  {contract.InboundEmailWorkflow, body, terminated, http.StatusServiceUnavailable},
		"of another kind":    {contract.ReplayWorkflow, body, running, http.StatusServiceUnavailable},
		"another body's":     {contract.InboundEmailWorkflow, "other", running, http.StatusServiceUnavailable},
		"of no known body's": {contract.InboundEmailWorkflow, "", running, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openWithoutDatabase(t)
			d.workflows.occupy(t, "evt_1", contract.ReplayWorkflow, body, running)
			d.workflows.occupy(t, conflict, c.workflow, c.body, c.status)
			for range 2 * carryFailures {
				got := d.send(t, body)
				require.Equal(t, c.answer, got.status, got.body)
			}
			if c.answer != http.StatusOK {
				require.Regexp(t, "workflow.(occupied|ended_early)", d.log.String())
			}
			require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_2")).status, "others are carried")
		})
	}
}

// TestCarriedBehindAForeignWorkflow: an event whose ID another kind of workflow has is
// carried as a conflict, which finds out from the ledger that it is none.
func TestCarriedBehindAForeignWorkflow(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	body := mailOf("evt_1")
	d.workflows.occupy(t, "evt_1", contract.ReplayWorkflow, body, enums.WORKFLOW_EXECUTION_STATUS_TERMINATED)
	require.Equal(t, http.StatusOK, d.send(t, body).status)
	require.Contains(t, d.workflows.ids()[len(d.workflows.ids())-1], "evt_1~")
}

// TestCarriedEventThatTemporalRefusesHarmsNobodyElse: it does not open the breaker.
func TestCarriedEventThatTemporalRefusesHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	d := openWithoutDatabase(t)
	d.workflows.setAnswer(func(_ context.Context, id string) error {
		if id == "evt_1" {
			return serviceerror.NewInvalidArgument("no")
		}
		return nil
	})
	for i := range 2 * carryFailures {
		require.Equal(t, http.StatusServiceUnavailable, d.send(t, mailOf("evt_1")).status, strconv.Itoa(i))
	}
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_2")).status)
	require.Contains(t, d.log.String(), "workflow.refused")
}
