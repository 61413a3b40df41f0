package dispatch

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/contract"
)

// tryStart starts the row of the inbox with this number once, as the dispatcher does.
func tryStart(t *testing.T, s *Dispatcher, ledger *ingresstest.Ledger, number int) {
	t.Helper()
	acquired, _ := s.pacer.acquire()
	require.True(t, acquired)
	row := ledger.Rows[number-1]
	waiting := row.Waiting
	waiting.Refused = row.Refusal != nil
	s.startRow(waiting, func(error) {})
}

// TestStartOfAnEmailWhoseIDIsTaken: whatever had the workflow ID of an email was taken
// for the email's own workflow, so that the row was marked started and was never processed.
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
			ledger, workflows := &ingresstest.Ledger{}, &ingresstest.Workflows{}
			fill(ledger, 1)
			row := ledger.Rows[0]
			row.Waiting.BodySHA256 = sha256.Sum256([]byte("evt_0"))
			workflows.Occupy(t, "evt_0", c.workflow, c.body, c.status)
			s, log := newTestDispatcher(t, ledger, workflows)

			tryStart(t, s, ledger, 1)
			require.Equal(t, 1, ingresstest.Counted(t, s.metrics.starts.WithLabelValues(string(c.want))))
			require.Equal(t, c.want == startAlready, len(s.marks.ids) == 1, "marked started")
			require.Equal(t, gobreaker.StateClosed, s.breaker.State())
			if c.want == startAlready {
				require.Nil(t, row.Refusal)
				return
			}
			require.Contains(t, log.String(), "workflow.refused")

			if !c.final { // shown from the second time on, and tried again
				require.Nil(t, row.Refusal)
				tryStart(t, s, ledger, 1)
			}
			require.NotNil(t, row.Refusal)
			require.Equal(t, c.final, row.Refusal.Final)
			require.Contains(t, row.Refusal.Detail, c.detail)
		})
	}
}

// TestStartIsTriedAgainWhileTheOccupantIsUnknown: that Temporal cannot be asked what has an ID
// says nothing against the row.
func TestStartIsTriedAgainWhileTheOccupantIsUnknown(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	workflows := &ingresstest.Workflows{Lost: errors.New("deadline exceeded"), Answer: func(context.Context, string) error {
		return serviceerror.NewWorkflowExecutionAlreadyStarted("it runs", "request", "run")
	}}
	fill(ledger, 1)
	s, _ := newTestDispatcher(t, ledger, workflows)
	for range 2 * refusedFinal {
		tryStart(t, s, ledger, 1)
	}
	require.Nil(t, ledger.Rows[0].Refusal)
	require.Empty(t, s.marks.ids)
	require.Len(t, s.sweeper.takeFailed(), 2*refusedFinal, "it goes back to the inbox")

	workflows.Lost = nil
	tryStart(t, s, ledger, 1)
	require.Len(t, s.marks.ids, 1)
}

// TestServerThatTakesNoRowIsNoRowsFault: before its search attributes are registered a
// server refuses every start. Rows are given up only if others go through meanwhile.
func TestServerThatTakesNoRowIsNoRowsFault(t *testing.T) {
	t.Parallel()
	ledger := &ingresstest.Ledger{}
	ready := false
	workflows := &ingresstest.Workflows{Answer: func(_ context.Context, id string) error {
		if !ready || id == "evt_0" {
			return serviceerror.NewInvalidArgument("no mapping defined for search attribute MailState")
		}
		return nil
	}}
	fill(ledger, 8)
	s, _ := newTestDispatcher(t, ledger, workflows)
	for range 3 * refusedFinal {
		tryStart(t, s, ledger, 1)
		tryStart(t, s, ledger, 2)
	}
	for _, row := range ledger.Rows[:2] {
		require.NotNil(t, row.Refusal, "it is shown")
		require.False(t, row.Refusal.Final)
		require.Contains(t, row.Refusal.Detail, "Temporal refuses to start its workflow: no mapping defined")
	}

	ready = true
	tryStart(t, s, ledger, 2)
	require.Nil(t, ledger.Rows[1].Refusal, "what the ledger says of it is taken back")
	for other := 3; other < 3+refusedFinal; other++ {
		require.False(t, ledger.Rows[0].Refusal.Final)
		tryStart(t, s, ledger, 1)
		tryStart(t, s, ledger, other)
	}
	require.True(t, ledger.Rows[0].Refusal.Final, "the row alone is to blame")
	require.Empty(t, s.refusals.counts.rows)
}

// TestRefusedForGoodRests: a row that Temporal never takes was tried each 30 s for ever
// and shown nowhere.
func TestRefusedForGoodRests(t *testing.T) {
	t.Parallel()
	ledger, workflows := &ingresstest.Ledger{}, &ingresstest.Workflows{}
	fill(ledger, 3)
	workflows.Occupy(t, "evt_1", contract.ReplayWorkflow, "", enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)
	s, _ := newTestDispatcher(t, ledger, workflows)
	s.Start()
	ingresstest.Eventually(t, func() bool {
		return ledger.Started() == 2 && ledger.Count(func(r *ingresstest.Row) bool { return r.Parked() }) == 1
	}, "the others are started")
	s.Stop()
	rows, err := ledger.ClaimWaiting(t.Context(), 10, Lease)
	require.NoError(t, err)
	require.Empty(t, rows)
}

// TestRefusedRowsAreBounded: what is remembered of refused rows has an end.
func TestRefusedRowsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRefusalCounts()
	for id := range int64(2 * refusedMost) {
		r.add(id)
	}
	require.Len(t, r.rows, refusedMost)
}
