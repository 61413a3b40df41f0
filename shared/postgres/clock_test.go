package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

// unlessOverruled takes it for no error that a later change of state is there.
func unlessOverruled(err error) error {
	var by *ledger.Overruled
	if errors.As(err, &by) {
		return nil
	}
	return err
}

// TestLaterRunIsToldWhatOverrulesIt: a run whose clock is behind that of an earlier one
// was ignored. It is told the number that it has to go beyond; what an earlier run still
// writes never overrules a later one.
func TestLaterRunIsToldWhatOverrulesIt(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := accept(t, db, event("e", "body"))[0].Row.Email
	ahead := time.Now().Add(time.Hour).UnixMilli()
	earlier := contract.RecordInput{Email: email, Sequence: ahead, State: contract.Quarantined, Reason: contract.Unroutable, Detail: "no rule"}
	require.NoError(t, db.Record(ctx, earlier))
	require.NoError(t, db.Record(ctx, earlier), "a repeat is no other change")

	later := contract.RecordInput{
		Email: email, Sequence: time.Now().UnixMilli(), State: contract.Delivered, AtUnixMilli: time.Now().UnixMilli(),
		Decision: &contract.Decision{Action: contract.Retry, Actor: "ann", Via: contract.ViaSignal, Note: "again"},
	}
	for _, sequence := range []int64{later.Sequence, ahead} {
		in := later
		in.Sequence = sequence
		var by *ledger.Overruled
		require.ErrorAs(t, db.Record(ctx, in), &by, "%d", sequence)
		require.Equal(t, ahead, by.Sequence)
		require.Equal(t, contract.Quarantined, stateOf(t, db).State)
		in.Decision = nil
		require.ErrorAs(t, db.Record(ctx, in), &by)
	}
	later.Sequence, later.Decision = ahead+1, nil
	require.NoError(t, db.Record(ctx, later))
	require.Equal(t, contract.Delivered, stateOf(t, db).State)

	var by *ledger.Overruled
	require.True(t, errors.As(db.Record(ctx, earlier), &by), "a late copy of the earlier run")
	require.Equal(t, contract.Delivered, stateOf(t, db).State)

	later.Email.ID += 1000
	require.NoError(t, db.Record(ctx, later), "of an email that is not there nothing is said")
}

// TestReplayBoundsDoNotDependOnClocks: a replay silently left out emails whose worker had
// a faster clock than the database, and took in changes by a slower one.
func TestReplayBoundsDoNotDependOnClocks(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	all := heldEmails(t, db, "held", 4, contract.Unroutable)
	held := func(e contract.Email, at time.Time) {
		require.NoError(t, db.Record(ctx, contract.RecordInput{
			Email: e, Sequence: at.UnixMilli(), State: contract.Quarantined, Reason: contract.Unroutable, Detail: at.String(),
		}))
	}
	held(all[1], time.Now().Add(24*time.Hour)) // held before the replay, by a fast clock
	id := createReplay(t, db, newReplay(ledger.Filter{State: contract.Quarantined}))
	held(all[2], time.Now().Add(-500*time.Millisecond)) // held anew after it, by a slow clock
	held(all[3], time.Now().Add(24*time.Hour))

	r, fence, err := db.TakeReplay(ctx, id)
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Total)
	list, end, err := db.ClaimReplay(ctx, r, fence, 10)
	require.NoError(t, err)
	require.True(t, end)
	require.Len(t, list, 2)
	require.Equal(t, []int64{all[0].ID, all[1].ID}, []int64{list[0].ID, list[1].ID})
}
