package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

// TestLatencyLeavesOutPeople: an email that was held over a weekend made the 99th
// percentile two days.
func TestLatencyLeavesOutPeople(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	now := time.Now().UTC().Truncate(time.Millisecond)
	a := event("e1", "body")
	a.ReceivedAt = now.Add(-50 * time.Minute)
	email := accept(t, db, a)[0].Row.Email
	sequence := int64(0)
	enter := func(s contract.State, after time.Duration) {
		t.Helper()
		sequence++
		require.NoError(t, db.Record(ctx, contract.RecordInput{
			Email: email, Sequence: sequence, State: s, AtUnixMilli: a.ReceivedAt.Add(after).UnixMilli(),
		}))
	}
	waited := func() time.Duration {
		t.Helper()
		out, err := db.Waited(ctx, []int64{email.ID})
		require.NoError(t, err)
		return out[email.ID]
	}

	enter(contract.Quarantined, time.Minute)
	enter(contract.Processing, 11*time.Minute) // held for 10 minutes
	enter(contract.Retrying, 12*time.Minute)
	require.Zero(t, waited(), "it has not come to its end")
	// Paused for 5 minutes, of which 2 overlap with another pause, and for an hour beyond its end.
	execute(t, url, `INSERT INTO waits (email_id, cause, began, ended)
SELECT id, 'paused a', received_at + interval '12 min', received_at + interval '17 min' FROM emails UNION ALL
SELECT id, 'paused b', received_at + interval '15 min', received_at + interval '18 min' FROM emails UNION ALL
SELECT id, 'paused c', received_at + interval '19 min', received_at + interval '80 min' FROM emails`)
	enter(contract.Delivered, 20*time.Minute)
	require.Equal(t, 17*time.Minute, waited())
	o, err := db.Overview(ctx, now, nil)
	require.NoError(t, err)
	require.InDelta(t, (3 * time.Minute).Seconds(), o.Latency.P99, 0.01)

	enter(contract.Processing, 40*time.Minute) // replayed
	require.Zero(t, waited())
	enter(contract.Delivered, 41*time.Minute)
	require.Equal(t, 17*time.Minute+20*time.Minute+time.Minute, waited(),
		"the time between its ends, and what goes on of the third pause")
}

// TestHoldThatEndsWithTheEmail counts as well.
func TestHoldThatEndsWithTheEmail(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	require.NoError(t, db.Record(ctx, contract.RecordInput{Email: email, Sequence: 1, State: contract.Quarantined, AtUnixMilli: at(0)}))
	require.NoError(t, db.Record(ctx, contract.RecordInput{
		Email: email, Sequence: 2, State: contract.Discarded, AtUnixMilli: at(60_000), Before: contract.Quarantined,
		Decision: &contract.Decision{Action: contract.Discard, Actor: "ada", Via: contract.ViaAPI, Note: "n"},
	}))
	out, err := db.Waited(ctx, []int64{email.ID})
	require.NoError(t, err)
	require.Equal(t, map[int64]time.Duration{email.ID: time.Minute}, out)
}

// TestPausesOfADelivery: many checks of one pause are one row.
func TestPausesOfADelivery(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	d := ledger.Delivery{EmailID: acceptOne(t, db).ID, Destination: "crm", State: ledger.Retrying, IdempotencyKey: "k", Paused: true}
	for range 3 {
		d.NextAttemptAt = time.Now().Add(10 * time.Second)
		require.NoError(t, db.SaveDelivery(ctx, d))
	}
	require.Equal(t, 1, count(t, url, `SELECT count(*) FROM waits WHERE cause = 'paused crm' AND ended - began BETWEEN '10 s' AND '1 min'`))
	execute(t, url, `UPDATE waits SET began = began - interval '10 min', ended = now() - interval '2 min'`)
	require.NoError(t, db.SaveDelivery(ctx, d))
	require.Equal(t, 2, count(t, url, `SELECT count(*) FROM waits`), "a later pause is another")
	d.Paused = false
	require.NoError(t, db.SaveDelivery(ctx, d))
	require.Equal(t, 2, count(t, url, `SELECT count(*) FROM waits`))
}
