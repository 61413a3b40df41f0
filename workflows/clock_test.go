package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/workflows"
)

// aheadOf is a number that an earlier run used while its clock was a day ahead.
func aheadOf(now time.Time) int64 { return now.Add(24 * time.Hour).UnixMilli() }

// TestRunOverrulesWhatAFasterClockRecorded: an email that was reset, or replayed, stayed in
// the ledger as the run before had left it until the clock had caught up.
func TestRunOverrulesWhatAFasterClockRecorded(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.recorded = aheadOf(time.Now())
	e := env(t, s)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())

	records := s.calls.records
	last := records[len(records)-1]
	require.Equal(t, contract.Delivered, last.State)
	require.Greater(t, last.Sequence, s.recorded)
	require.Len(t, records, 2, "it is written once more, and no oftener")
}

// TestDecisionUnderAFasterClock: what people decided is one row each, and each later
// change has a higher number.
func TestDecisionUnderAFasterClock(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.recorded = aheadOf(time.Now())
	s.inspect = func(int) (contract.InspectResult, error) {
		return contract.InspectResult{Holds: holding(contract.Infected)}, nil
	}
	e := env(t, s)
	e.RegisterDelayedCallback(func() {
		require.Greater(t, s.calls.records[len(s.calls.records)-1].Sequence, s.recorded, "the hold is in the ledger")
		e.SignalWorkflow(contract.SignalApprove, nil)
	}, time.Hour)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	requireOneDecision(t, s)

	var previous int64
	for _, r := range s.calls.records {
		if r.Sequence > s.recorded {
			require.Greater(t, r.Sequence, previous)
			previous = r.Sequence
		}
	}
	require.Equal(t, contract.Delivered, s.calls.records[len(s.calls.records)-1].State)
}

// requireOneDecision requires that a decision without an intent, whose repeat no intent
// could tell, was written once.
func requireOneDecision(t *testing.T, s *script) {
	t.Helper()
	n := 0
	for _, r := range s.calls.records {
		if r.Decision != nil {
			n++
		}
	}
	require.Equal(t, 1, n)
}

// TestLedgerThatAlwaysOverrules ends no email and keeps none from its end.
func TestLedgerThatAlwaysOverrules(t *testing.T) {
	t.Parallel()
	s := newScript()
	s.recorded = 1 << 62
	e := env(t, s)
	e.ExecuteWorkflow(workflows.InboundEmail, input())
	require.NoError(t, e.GetWorkflowError())
	require.NotEmpty(t, s.calls.effects)
}
