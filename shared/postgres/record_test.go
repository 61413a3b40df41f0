package postgres_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

// endings are the ends of held emails.
func endings(list []contract.Email) []contract.RecordInput {
	out := make([]contract.RecordInput, len(list))
	for i, e := range list {
		out[i] = contract.RecordInput{
			Email: e, Sequence: time.Now().UnixMilli() + 1000, State: contract.Discarded, Before: contract.Quarantined,
			AtUnixMilli: time.Now().UnixMilli(),
			Decision:    &contract.Decision{Action: contract.Discard, Actor: "ann", Via: contract.ViaReplay, Note: "junk"},
		}
	}
	return out
}

// TestRecordAll writes all of them or none, and each once.
func TestRecordAll(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	list := endings(heldEmails(t, db, "many", 5, contract.Unroutable))
	bad := slices.Clone(list)
	bad[4].State = "no such state"
	require.Error(t, db.RecordAll(t.Context(), bad))
	states := func() (out []contract.State) {
		for _, in := range list {
			state, _, err := db.EmailState(t.Context(), in.Email.ID)
			require.NoError(t, err)
			out = append(out, state)
		}
		return out
	}
	require.Equal(t, slices.Repeat([]contract.State{contract.Quarantined}, 5), states())
	for range 2 {
		require.NoError(t, db.RecordAll(t.Context(), list))
		require.Equal(t, slices.Repeat([]contract.State{contract.Discarded}, 5), states())
	}
	for _, in := range list {
		row, err := db.FindEmail(t.Context(), ledger.Lookup{Source: in.Email.Source, EventID: in.Email.EventID})
		require.NoError(t, err)
		require.Len(t, row.Decisions, 1)
		require.Equal(t, contract.Unroutable, row.Decisions[0].Reason)
	}
	require.NoError(t, db.RecordAll(t.Context(), nil))
	untold, err := db.UntoldEnds(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Equal(t, []ledger.UntoldEnd{}, untold)
}

// TestRecordAllConcurrently: the chain of the decisions is held for as long as the
// transaction lasts, and rows of emails as well. Neither waits for the other.
func TestRecordAllConcurrently(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	list := endings(heldEmails(t, db, "beside", 30, contract.Unroutable))
	var all errgroup.Group
	for round := range 8 {
		mine := slices.Clone(list)
		for i := range mine {
			mine[i].Sequence += int64(round)
		}
		if round%2 == 1 {
			slices.Reverse(mine)
		}
		all.Go(func() error { return db.RecordAll(t.Context(), mine) })
		all.Go(func() error {
			for _, in := range mine {
				in.Sequence += 100
				var by *ledger.Overruled
				if err := db.Record(t.Context(), in); err != nil && !errors.As(err, &by) {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
}
