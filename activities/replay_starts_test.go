package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres"
)

// idling is a ledger in which all replays that should run have been idle for long.
type idling struct{ hurried }

func (l idling) IdleReplays(ctx context.Context, _ time.Duration) ([]ledger.ReplayRow, error) {
	return l.DB.IdleReplays(ctx, 0)
}

// occupiedStarter cannot start some replays: another workflow has their IDs.
type occupiedStarter struct {
	taken   map[int64]bool
	started []int64
}

func (s *occupiedStarter) StartReplay(_ context.Context, id int64, _ bool) error {
	if s.taken[id] {
		return fault.New(fault.DecisionRefused, "the workflow ID is taken by another workflow")
	}
	s.started = append(s.started, id)
	return nil
}

// TestReplayThatCannotBeStartedEnds: one whose workflow ID was taken kept all others
// from being started, and the recovery of its cause from ever beginning again.
func TestReplayThatCannotBeStartedEnds(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	const cause = "scanner_unavailable"
	recovery := ledger.NewReplay{Action: contract.Retry, Cause: cause}
	lost := b.create(t, recovery)
	other := b.create(t, ledger.NewReplay{Action: contract.Retry})
	starter := &occupiedStarter{taken: map[int64]bool{lost: true}}
	idle := idling{hurried{b.db}}
	starts, err := activities.NewReplayStarts(activities.ReplayStartsDeps{
		Ledger: idle, Starter: starter, Claims: idle, Ends: &b.ends, Decider: b.reach, Executions: b.reach,
	})
	require.NoError(t, err)

	out, err := starts.StartReplays(t.Context(), contract.MaintenanceInput{})
	require.NoError(t, err)
	require.Equal(t, 1, out.Started)
	require.Equal(t, []int64{other}, starter.started)
	row, err := b.db.Replay(t.Context(), lost)
	require.NoError(t, err)
	require.Equal(t, contract.ReplayFailed, row.State)
	require.NotNil(t, row.EndedAt)
	require.NotEqual(t, lost, b.create(t, recovery), "the recovery can begin again")
}

// TestDecisionAboutManyReachesWhatCannotBeStarted, in the ledger: such emails have no
// workflow that could be asked.
func TestDecisionAboutManyReachesWhatCannotBeStarted(t *testing.T) {
	t.Parallel()
	for _, action := range []contract.Action{contract.Discard, contract.Retry, contract.Approve} {
		t.Run(string(action), func(t *testing.T) {
			t.Parallel()
			b := setupReplay(t)
			got, err := b.db.Accept(t.Context(), []postgres.Acceptance{{
				Source: contract.FirstSource, EventID: "evt_1", WorkflowID: "evt_1", Tenant: "default", CorrelationID: "c",
				BodySHA256: sumOf([]byte("x")), Size: 1, ReceivedAt: time.Now(), Body: []byte("x"),
			}}, time.Minute)
			require.NoError(t, err)
			id := got[0].Row.Email.ID
			require.NoError(t, b.db.RefuseStart(t.Context(), postgres.Refusal{EmailID: id, Detail: "no", Final: true}))

			p, err := b.chunk(t, b.create(t, ledger.NewReplay{Action: action, Filter: ledger.Filter{Reason: contract.Internal}}))
			require.NoError(t, err)
			require.Empty(t, b.reach.decided)
			state, _, err := b.db.EmailState(t.Context(), id)
			require.NoError(t, err)
			switch action {
			case contract.Discard:
				require.EqualValues(t, 1, p.Done)
				require.Equal(t, contract.Discarded, state)
			case contract.Retry:
				require.EqualValues(t, 1, p.Done)
				require.Equal(t, contract.Processing, state)
			default:
				require.EqualValues(t, 1, p.Skipped)
				require.Equal(t, contract.Quarantined, state)
			}
		})
	}
}

// TestReplayLeavesForeignWorkflowsAlone: what has the workflow ID of an email and is
// no email's workflow does not count as "on its way".
func TestReplayLeavesForeignWorkflowsAlone(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.emails(t, "open", 1, contract.Retrying, contract.DownstreamUnavailable)
	b.reach.foreign = true
	id := b.create(t, ledger.NewReplay{Action: ledger.ActionReplay, From: contract.StepRoute})
	p, err := b.chunk(t, id)
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Skipped)
	row, err := b.db.Replay(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"refused": 1}, row.Results)
	require.Empty(t, b.reach.started)
}
