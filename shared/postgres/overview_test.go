package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

func TestOverview(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	now := time.Now().UTC().Truncate(time.Minute).Add(30 * time.Second)
	put := func(id, tenant string, before time.Duration, state contract.State, reason contract.Reason, took time.Duration) {
		t.Helper()
		a := event(id, "body")
		a.Tenant, a.ReceivedAt = tenant, now.Add(-before)
		email := accept(t, db, a)[0].Row.Email
		if state == contract.Processing {
			return
		}
		require.NoError(t, db.MarkStarted(ctx, []int64{email.ID}))
		require.NoError(t, db.Record(ctx, contract.RecordInput{
			Email: email, Sequence: 1, State: state, Reason: reason, AtUnixMilli: a.ReceivedAt.Add(took).UnixMilli(),
		}))
	}
	put("d1", "default", 10*time.Second, contract.Delivered, "", time.Second)
	put("d2", "acme", 10*time.Minute, contract.Delivered, "", 3*time.Minute)
	put("d3", "default", 3*time.Hour, contract.Delivered, "", time.Second)
	put("h1", "default", 10*time.Minute, contract.Quarantined, contract.Infected, 0)
	put("h2", "acme", 2*time.Hour, contract.Quarantined, contract.Unroutable, 0)
	put("h3", "acme", 3*time.Hour, contract.Quarantined, contract.Unroutable, 0)
	put("r1", "acme", time.Minute, contract.Retrying, contract.DownstreamUnavailable, 0)
	put("p1", "default", time.Second, contract.Processing, "", 0)

	o, err := db.Overview(ctx, now, nil)
	require.NoError(t, err)
	require.Len(t, o.Rate, 60)
	require.Equal(t, now.Add(-30*time.Second), o.Rate[59].At)
	require.Equal(t, now.Add(-59*time.Minute-30*time.Second), o.Rate[0].At)
	require.Equal(t, ledger.Minute{At: o.Rate[59].At, Accepted: 2, Delivered: 1}, o.Rate[59])
	require.Equal(t, ledger.Minute{At: o.Rate[49].At, Accepted: 2, Held: 1}, o.Rate[49])
	require.EqualValues(t, 1, o.Rate[52].Delivered)
	require.EqualValues(t, 2, o.Latency.Count)
	require.EqualValues(t, 1, o.Latency.Within)
	require.InDelta(t, 90.5, o.Latency.P50, 0.01)
	require.InDelta(t, 60, o.Latency.ObjectiveSeconds, 0)
	require.EqualValues(t, 1, o.Inbox.Waiting)
	require.Equal(t, []ledger.StateCount{
		{State: contract.Processing, Count: 1}, {State: contract.Retrying, Count: 1}, {State: contract.Quarantined, Count: 3},
		{State: contract.Delivered, Count: 3}, {State: contract.Discarded}, {State: contract.Duplicate},
	}, o.States)
	require.Len(t, o.Held, 2)
	require.Equal(t, ledger.ReasonCount{Reason: contract.Unroutable, Count: 2, Oldest: now.Add(-3 * time.Hour)}, o.Held[0])
	require.Len(t, o.Retrying, 1)
	require.Equal(t, ledger.Attention{}, o.Attention)
	require.Nil(t, o.Ack)

	for id, level := range map[string]int{"h1": contract.AttentionReminded, "h2": contract.AttentionReminded, "h3": contract.AttentionEscalated} {
		email, err := db.FindEmail(ctx, ledger.Lookup{EventID: id})
		require.NoError(t, err)
		require.NoError(t, db.Attend(ctx, contract.RemindInput{
			Email: contract.Email{ID: email.ID}, Level: level, Sequence: 1, AtUnixMilli: now.UnixMilli(),
		}))
	}
	o, err = db.Overview(ctx, now, nil)
	require.NoError(t, err)
	oldest := now.Add(-3 * time.Hour)
	require.Equal(t, ledger.Attention{Reminded: 2, Escalated: 1, Oldest: &oldest}, o.Attention)
	o, err = db.Overview(ctx, now, []string{"default"})
	require.NoError(t, err)
	require.EqualValues(t, 1, o.Attention.Reminded)
	require.Zero(t, o.Attention.Escalated)

	o, err = db.Overview(ctx, now, []string{"acme"})
	require.NoError(t, err)
	require.Zero(t, o.Inbox.Waiting)
	require.EqualValues(t, 1, o.Latency.Count)
	require.Len(t, o.Held, 1)
	require.Zero(t, o.Rate[59].Accepted)
	o, err = db.Overview(ctx, now, []string{})
	require.NoError(t, err)
	require.Empty(t, o.Held)
	require.Zero(t, o.States[3].Count)
}

func overviewPlans(t *testing.T, db *pgtest.DB, conn *pgx.Conn) {
	t.Helper()
	for name, s := range postgres.OverviewSQL(time.Now().Add(-time.Hour)) {
		plan := explain(t, conn, s.SQL, s.Args...)
		require.NotContains(t, plan, "Seq Scan on emails", name+"\n"+plan)
	}
	o, err := db.Overview(t.Context(), time.Now(), nil)
	require.NoError(t, err)
	var held int64
	for _, r := range o.Held {
		held += r.Count
	}
	require.EqualValues(t, manyHeld, held)
}
