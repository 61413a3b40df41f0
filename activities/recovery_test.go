package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// probed is a ledger with one cause whose recovery has a probe on its way.
type probed struct {
	activities.OutageLedger // what is not asked for
	activities.DecisionLedger
	recovery ledger.Recovery
}

func (p *probed) ListOutages(context.Context) ([]ledger.Held, error) {
	return []ledger.Held{{Cause: p.recovery.Cause, Reason: contract.ScannerUnavailable, Count: 5}}, nil
}

func (p *probed) Recovery(context.Context, string) (ledger.Recovery, error) { return p.recovery, nil }

func (p *probed) SaveRecovery(_ context.Context, r ledger.Recovery) error {
	p.recovery = r
	return nil
}

func (p *probed) EmailState(context.Context, int64) (contract.State, contract.Reason, error) {
	return contract.Retrying, contract.ScannerUnavailable, nil
}

func (p *probed) EmailWorkflow(context.Context, int64) (string, error) { return "probe", nil }

// probeExecution is what has become of the probe's workflow.
type probeExecution struct {
	activities.Executions
	activities.Decider
	execution activities.Execution
}

func (e probeExecution) Execution(context.Context, string) (activities.Execution, error) {
	return e.execution, nil
}

// TestRecoveryProbeWhoseWorkflowWasTerminatedIsGivenUp: its email stays on its way for
// ever in the ledger, and must not keep all others of its cause held.
func TestRecoveryProbeWhoseWorkflowWasTerminatedIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		execution activities.Execution
		took      time.Duration
		given     bool
	}{
		"terminated":             {activities.Execution{Forced: true}, 2 * time.Minute, true},
		"unknown to Temporal":    {activities.Execution{}, 2 * time.Minute, true},
		"another's workflow":     {activities.Execution{Foreign: true}, 2 * time.Minute, true},
		"terminated a while ago": {activities.Execution{Forced: true}, 30 * time.Second, false},
		"at work":                {activities.Execution{Running: true}, 10 * time.Minute, false},
		"at work for too long":   {activities.Execution{Running: true}, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
			now := began.Add(c.took)
			p := &probed{recovery: ledger.Recovery{Cause: "scanner_unavailable", Canary: 7, TriedAt: began}}
			workflow := probeExecution{execution: c.execution}
			recovery, err := activities.NewRecovery(activities.RecoveryDeps{
				Outages: p, Recoveries: p, Emails: p, Decisions: p, Decider: workflow, Executions: workflow, Starter: noStarter{},
				Now: func() time.Time { // a look is short
					now = now.Add(6 * time.Second)
					return now
				},
			})
			require.NoError(t, err)
			out, err := recovery.ReleaseRecovered(t.Context(), contract.MaintenanceInput{})
			require.NoError(t, err)
			require.Zero(t, out.Released)
			if !c.given {
				require.EqualValues(t, 7, p.recovery.Canary)
				return
			}
			require.Zero(t, p.recovery.Canary)
			require.Equal(t, 1, p.recovery.Failures)
			require.True(t, p.recovery.NextAt.After(now), "another one follows")
		})
	}
}
