package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/pgtest"
)

func TestPulse(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	before, states, err := db.Pulse(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, states)
	require.Subset(t, before, map[string]string{"held": "0/0"})

	email := accept(t, db, event("e1", "body"))[0].Row.Email
	came, first, err := db.Pulse(ctx, []int64{email.ID, 999})
	require.NoError(t, err)
	require.NotEqual(t, before["emails"], came["emails"])
	require.Equal(t, before["held"], came["held"])
	require.Len(t, first, 1, "what is not there has no token")

	require.NoError(t, db.SaveManifest(ctx, manifest(email.ID)))
	_, stored, err := db.Pulse(ctx, []int64{email.ID})
	require.NoError(t, err)
	require.NotEqual(t, first, stored)

	require.NoError(t, db.Record(ctx, contract.RecordInput{Email: email, Sequence: 1, State: contract.Quarantined, Reason: contract.Unroutable}))
	held, waiting, err := db.Pulse(ctx, []int64{email.ID})
	require.NoError(t, err)
	require.NotEqual(t, came["held"], held["held"])
	require.NotEqual(t, stored, waiting)

	again, same, err := db.Pulse(ctx, []int64{email.ID})
	require.NoError(t, err)
	require.Equal(t, held["held"], again["held"])
	require.Equal(t, waiting, same, "nothing happened")
}
