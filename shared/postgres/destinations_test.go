package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

func TestSetControl(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	list, err := db.Controls(ctx)
	require.NoError(t, err)
	require.Empty(t, list)

	pause := ledger.Control{Destination: "crm", Paused: true, Actor: "olga", Note: "they move house"}
	require.NoError(t, db.SetControl(ctx, pause, contract.ViaMailctl))
	list, err = db.Controls(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	first := list[0]
	require.WithinDuration(t, time.Now(), first.At, time.Minute)
	first.At = time.Time{}
	require.Equal(t, pause, first)

	require.NoError(t, db.SetControl(ctx, ledger.Control{Destination: "crm", Actor: "adam", Note: "done"}, contract.ViaAPI))
	again, err := db.Controls(ctx)
	require.NoError(t, err)
	require.False(t, again[0].Paused)
	require.True(t, again[0].At.After(list[0].At), "a worker sees by the time that something was said")

	entries, err := db.Audit(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, "destination", entries[0].Kind)
	require.Equal(t, "olga", entries[0].Actor)
	require.Equal(t, "mailctl", entries[0].Via)
	var body map[string]string
	require.NoError(t, json.Unmarshal([]byte(entries[0].Body), &body))
	require.Equal(t, map[string]string{"action": "pause", "destination": "crm", "note": "they move house"}, body)
}

// TestAnswersOfDestinations: a recovery ends the stop and what was asked for, and the last
// word counts.
func TestAnswersOfDestinations(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	control := func() ledger.Control {
		t.Helper()
		list, err := db.Controls(ctx)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "crm", list[0].Destination)
		return list[0]
	}
	require.NoError(t, db.SaveAsked(ctx, "crm", time.Hour))
	require.NoError(t, db.SaveAsked(ctx, "crm", time.Minute))
	require.NoError(t, db.SaveGone(ctx, "crm", time.Hour))
	c := control()
	require.WithinDuration(t, c.AskedAt.Add(time.Minute), c.AskedUntil, time.Second)
	require.Zero(t, c.RecoveredAt)
	require.False(t, c.GoneUntil.IsZero())

	require.NoError(t, db.SaveRecovered(ctx, "crm"))
	c = control()
	require.WithinDuration(t, time.Now(), c.RecoveredAt, time.Minute)
	require.Zero(t, c.AskedUntil)
	require.Zero(t, c.GoneUntil)
	require.NoError(t, db.SetControl(ctx, ledger.Control{Destination: "crm", Paused: true, Actor: "olga", Note: "x"}, contract.ViaAPI))
	require.Equal(t, c.RecoveredAt, control().RecoveredAt)
	require.True(t, control().Paused)
}

// TestGoneDestinations: a stop after 410 outlives every worker, and what a person said
// after it ends it.
func TestGoneDestinations(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	control := func() ledger.Control {
		t.Helper()
		list, err := db.Controls(ctx)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "crm", list[0].Destination)
		return list[0]
	}
	require.NoError(t, db.SaveGone(ctx, "crm", time.Hour))
	c := control()
	require.WithinDuration(t, time.Now().Add(time.Hour), c.GoneUntil, time.Minute)
	require.Zero(t, c.At, "no person said anything")
	require.False(t, c.Paused)

	require.NoError(t, db.SetControl(ctx, ledger.Control{Destination: "crm", Paused: true, Actor: "olga", Note: "x"}, contract.ViaAPI))
	require.False(t, control().GoneUntil.IsZero(), "a pause ends no other stop")
	require.NoError(t, db.SetControl(ctx, ledger.Control{Destination: "crm", Actor: "olga", Note: "x"}, contract.ViaAPI))
	require.True(t, control().GoneUntil.IsZero())
	require.False(t, control().Paused)

	require.NoError(t, db.SaveGone(ctx, "crm", time.Hour))
	require.False(t, control().GoneUntil.IsZero(), "it has answered 410 once more")
	require.NoError(t, db.SaveGone(ctx, "crm", -time.Second))
	require.True(t, control().GoneUntil.IsZero(), "the time is over")
}

func TestDestinationStatus(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	db, ctx := pgtest.Open(t, url, 2), t.Context()
	at := time.Now().UTC().Truncate(time.Microsecond)
	until, past := at.Add(time.Hour), at.Add(-time.Minute)
	require.NoError(t, db.SaveDestinationStatus(ctx, "w1", nil))
	require.NoError(t, db.SaveDestinationStatus(ctx, "w1", []ledger.DestinationStatus{
		{Destination: "a", Breaker: ledger.BreakerOpen, InFlight: 3, ProbeAt: &until, LastFailureAt: &at, LastFailure: "it answered 500"},
		{Destination: "b", Breaker: ledger.BreakerClosed, GoneUntil: &until, LastSuccessAt: &at},
	}))
	require.NoError(t, db.SaveDestinationStatus(ctx, "w2", []ledger.DestinationStatus{
		{Destination: "a", Breaker: ledger.BreakerHalfOpen, GoneUntil: &past},
	}))
	require.NoError(t, db.SaveDestinationStatus(ctx, "w2", []ledger.DestinationStatus{
		{Destination: "a", Breaker: ledger.BreakerClosed, GoneUntil: &past},
	}))
	list, err := db.DestinationStatuses(ctx)
	require.NoError(t, err)
	require.Len(t, list, 3)
	for i := range list {
		require.True(t, list[i].Fresh)
		list[i].UpdatedAt = time.Time{}
	}
	require.Equal(t, []ledger.DestinationStatus{
		{Destination: "a", Worker: "w1", Breaker: ledger.BreakerOpen, InFlight: 3, ProbeAt: &until, LastFailureAt: &at, LastFailure: "it answered 500", Fresh: true},
		{Destination: "a", Worker: "w2", Breaker: ledger.BreakerClosed, Fresh: true},
		{Destination: "b", Worker: "w1", Breaker: ledger.BreakerClosed, GoneUntil: &until, LastSuccessAt: &at, Fresh: true},
	}, list)

	// A worker that has gone keeps its times for a day and says nothing of breakers.
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	age := func(interval string) {
		t.Helper()
		_, err := conn.Exec(ctx, "UPDATE destination_status SET updated_at = now() - $1::interval WHERE worker = 'w1'", interval)
		require.NoError(t, err)
		require.NoError(t, db.SaveDestinationStatus(ctx, "w2", []ledger.DestinationStatus{{Destination: "a", Breaker: ledger.BreakerClosed}}))
		list, err = db.DestinationStatuses(ctx)
		require.NoError(t, err)
	}
	age("1 minute")
	require.Len(t, list, 3)
	require.False(t, list[0].Fresh)
	age("25 hours")
	require.Len(t, list, 1)
}

func TestBacklogs(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	next := time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
	put := func(id, tenant string, state contract.State, deliveries map[string]ledger.DeliveryState) {
		t.Helper()
		a := event(id, "body")
		a.Tenant = tenant
		email := accept(t, db, a)[0].Row.Email
		for to, s := range deliveries {
			require.NoError(t, db.SaveDelivery(ctx, ledger.Delivery{
				EmailID: email.ID, Destination: to, State: s, IdempotencyKey: "k", NextAttemptAt: next,
			}))
		}
		require.NoError(t, db.Record(ctx, contract.RecordInput{
			Email: email, Sequence: 1, State: state, AtUnixMilli: time.Now().UnixMilli(),
		}))
	}
	put("e1", "default", contract.Retrying, map[string]ledger.DeliveryState{"crm": ledger.Retrying, "archive": ledger.Delivered})
	put("e2", "acme", contract.Quarantined, map[string]ledger.DeliveryState{"crm": ledger.Rejected})
	put("e3", "acme", contract.Discarded, map[string]ledger.DeliveryState{"crm": ledger.Rejected})
	put("e4", "acme", contract.Delivered, map[string]ledger.DeliveryState{"crm": ledger.Delivered})

	all, err := db.Backlogs(ctx, nil)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.EqualValues(t, 1, all["crm"].Retrying)
	require.EqualValues(t, 1, all["crm"].Held)
	require.NotNil(t, all["crm"].Oldest)
	require.NotNil(t, all["crm"].NextAttemptAt)
	require.True(t, next.Equal(*all["crm"].NextAttemptAt))
	some, err := db.Backlogs(ctx, []string{"acme"})
	require.NoError(t, err)
	require.Zero(t, some["crm"].Retrying)
	require.EqualValues(t, 1, some["crm"].Held)
	require.Nil(t, some["crm"].NextAttemptAt, "what is held has no next attempt, and what is of others is not shown")
	none, err := db.Backlogs(ctx, []string{})
	require.NoError(t, err)
	require.Empty(t, none)
}
