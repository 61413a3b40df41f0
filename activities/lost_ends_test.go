package activities_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

// ends is the ledger, which at times does not answer.
type ends struct {
	write func(context.Context, []contract.RecordInput) error
	mu    sync.Mutex
	calls int
	down  int // so many calls fail
	bad   string
}

func (e *ends) RecordAll(ctx context.Context, list []contract.RecordInput) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	switch {
	case e.calls <= e.down:
		return fault.New(fault.StorageUnavailable, "away")
	case slices.ContainsFunc(list, func(in contract.RecordInput) bool { return in.Email.WorkflowID == e.bad }):
		return errors.New("it does not fit")
	}
	return e.write(ctx, list)
}

// held gets n emails held, whose workflows end with a discard.
func (b *replayBench) held(t *testing.T, n int) {
	t.Helper()
	b.emails(t, "held", n, contract.Quarantined, contract.Unroutable)
	b.reach.end = func(id string, intent int64) *contract.RecordInput {
		row, err := b.db.FindEmail(context.Background(), ledger.Lookup{Source: contract.FirstSource, EventID: id})
		require.NoError(t, err)
		return &contract.RecordInput{
			Email: row.Email(), Sequence: time.Now().UnixMilli(), AtUnixMilli: time.Now().UnixMilli(),
			State: contract.Discarded, Before: contract.Quarantined, Verified: true,
			Decision: &contract.Decision{Intent: intent, Action: contract.Discard, Actor: "ann", Via: contract.ViaReplay},
		}
	}
}

// ended requires that the ledger has one decision for each of n held emails, as it was
// written down.
func (b *replayBench) ended(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		row, err := b.db.FindEmail(t.Context(), ledger.Lookup{Source: contract.FirstSource, EventID: fmt.Sprintf("held-%d", i)})
		require.NoError(t, err)
		require.Equal(t, contract.Discarded, row.State, i)
		require.Len(t, row.Decisions, 1, i)
		require.Equal(t, "why not", row.Decisions[0].Note)
		require.Equal(t, contract.Discard, row.Decisions[0].Action)
	}
}

// TestEndsAreToldTogether: the ledger learns of them in few transactions, and before they
// count as done; that it is unavailable for a moment ends nothing.
func TestEndsAreToldTogether(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.held(t, 300)
	b.ends.down = 1
	b.reach.lost = 3
	p, err := b.chunk(t, b.create(t, ledger.NewReplay{Action: contract.Discard}))
	require.NoError(t, err)
	require.EqualValues(t, 300, p.Done)
	require.Less(t, b.ends.calls, 200)
	b.ended(t, 300)
}

// TestOneEndThatCannotBeToldIsAlone: it keeps none of the others from the ledger.
func TestOneEndThatCannotBeToldIsAlone(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.held(t, 41)
	b.ends.bad = "held-40"
	p, err := b.chunk(t, b.create(t, ledger.NewReplay{Action: contract.Discard}))
	require.NoError(t, err)
	require.Equal(t, contract.ReplayDone, p.State)
	require.EqualValues(t, 40, p.Done)
	require.Zero(t, p.Failed, "it has ended, and is told when it can be")
	b.ended(t, 40)

	starts := b.starts(t)
	_, err = starts.StartReplays(t.Context(), contract.MaintenanceInput{})
	require.ErrorContains(t, err, "went wrong")
	b.ends.bad = ""
	_, err = starts.StartReplays(t.Context(), contract.MaintenanceInput{})
	require.NoError(t, err)
	b.ended(t, 41)
}

// starts returns activities for which claims are old at once.
func (b *replayBench) starts(t *testing.T) *activities.ReplayStarts {
	t.Helper()
	starts, err := activities.NewReplayStarts(activities.ReplayStartsDeps{
		Ledger: b.db, Starter: noStarter{}, Claims: hurried{b.db}, Ends: &b.ends, Decider: b.reach, Executions: b.reach,
	})
	require.NoError(t, err)
	return starts
}

// leave does what a worker does that is killed: six emails are claimed, the workflows
// of four have ended, and the ledger has recorded none.
func (b *replayBench) leave(t *testing.T) int64 {
	t.Helper()
	id := b.create(t, ledger.NewReplay{Action: contract.Discard})
	row, fence, err := b.db.TakeReplay(t.Context(), id)
	require.NoError(t, err)
	claimed, _, err := b.db.ClaimReplay(t.Context(), row, fence, 6)
	require.NoError(t, err)
	intent, err := b.db.ReplayIntent(t.Context(), id)
	require.NoError(t, err)
	for _, e := range claimed[:4] {
		_, err := b.reach.Decide(t.Context(), e.WorkflowID, contract.Decision{Intent: intent, Records: true})
		require.NoError(t, err)
	}
	return id
}

// TestEndsOfAKilledWorker are told by the next attempt.
func TestEndsOfAKilledWorker(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.held(t, 10)
	id := b.leave(t)
	p, err := b.chunk(t, id)
	require.NoError(t, err)
	require.EqualValues(t, 10, p.Done)
	b.ended(t, 10)
}

// TestEndsOfAStoppedReplay: there is no next attempt, or not before a person resumes it,
// so the schedule tells the ledger, and ends no email that was not begun.
func TestEndsOfAStoppedReplay(t *testing.T) {
	t.Parallel()
	b := setupReplay(t)
	b.held(t, 10)
	id := b.leave(t)
	require.NoError(t, b.db.RecordAll(t.Context(), []contract.RecordInput{*b.reach.ends["held-0"].Record}), "the last thing before the end")
	starts := b.starts(t)
	for _, state := range []contract.ReplayState{contract.ReplayPaused, contract.ReplayStopped, contract.ReplayStopped} {
		if row, err := b.db.Replay(t.Context(), id); row.State != state {
			require.NoError(t, err)
			_, err = b.ControlReplay(t.Context(), contract.ReplayControlInput{ID: id, State: state})
			require.NoError(t, err)
		}
		_, err := starts.StartReplays(t.Context(), contract.MaintenanceInput{})
		require.NoError(t, err)
		b.ended(t, 4)
		row, err := b.db.Replay(t.Context(), id)
		require.NoError(t, err)
		want := map[string]int64{"decided": 4}
		if state == contract.ReplayStopped {
			want["refused"] = 2 // their turn does not come any more
		}
		require.Equal(t, want, row.Results)
	}
	require.Len(t, b.reach.decided, 4)
	left, err := b.db.UntoldEnds(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Empty(t, left)
}

// hurried is a ledger for which claims are old at once.
type hurried struct{ *pgtest.DB }

func (h hurried) UntoldEnds(ctx context.Context, _ time.Duration, limit int) ([]ledger.UntoldEnd, error) {
	return h.DB.UntoldEnds(ctx, 0, limit)
}

// noStarter is what recording the ends has no use for.
type noStarter struct{ activities.ReplayStarter }
