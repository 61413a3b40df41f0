package postgres_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres/dbsqlc"
)

// at is a moment of the workflow's clock, n milliseconds after the event came.
func at(n int64) int64 { return 1_790_000_000_123 + n }

// Mail that goes through without a stop costs no row of a state.
func TestTransitionsOfTheFastPath(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	require.NoError(t, db.Record(ctx, contract.RecordInput{Email: acceptOne(t, db), Sequence: 1, State: contract.Delivered, AtUnixMilli: at(1)}))
	require.Zero(t, count(t, url, `SELECT count(*) FROM transitions`))
}

func TestStoredAgain(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	m := manifest(acceptOne(t, db).ID)
	m.Parser = "one"
	require.NoError(t, db.SaveManifest(ctx, m))
	execute(t, url, `UPDATE emails SET stored_at = 'epoch'`)
	require.NoError(t, db.SaveManifest(ctx, m))
	require.Equal(t, 1, count(t, url, `SELECT count(*) FROM emails WHERE stored_at = 'epoch' AND parser = 'one'`), "a repeat changes nothing")
	m.Parser = "two"
	require.NoError(t, db.SaveManifest(ctx, m))
	require.Equal(t, 1, count(t, url, `SELECT count(*) FROM emails WHERE stored_at > 'epoch' AND parser = 'two'`), "another parser stored it anew")
}

// Two calls that overlapped counted to the same number, and both were made.
func TestAttemptsThatOverlap(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	d := ledger.Delivery{EmailID: acceptOne(t, db).ID, Destination: "a", State: ledger.Retrying, Attempts: 3}
	for i := range int64(2) {
		d.Call = &ledger.Call{At: time.UnixMilli(at(i))}
		require.NoError(t, db.SaveDelivery(ctx, d))
	}
	require.Equal(t, 2, count(t, url, `SELECT count(*) FROM attempts WHERE number IN (3, 4)`))
	d.Call = nil
	require.NoError(t, db.SaveDelivery(ctx, d))
	require.Equal(t, 2, count(t, url, `SELECT count(*) FROM attempts`), "no call, no row")
}

func execute(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

func count(t *testing.T, url, query string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&n))
	return n
}

// The key that vouched for an event is recorded, whichever way the event came.
func TestVerifiedIsKept(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	db := pgtest.Open(t, url, 2)
	verified := contract.Verified{Scheme: "standard-webhooks", Key: 3, Ref: "vault:secret/data/mail#key"}
	a, b := event("direct", "one"), event("open", "one")
	a.Verified = verified
	b.Verified = contract.Verified{Scheme: "none"}
	accept(t, db, b, event("old", "one"), a)
	accept(t, db, event("direct", "one")) // a repeat changes nothing
	in := fallback("carried", "one")
	in.Fallback.Verified = verified
	backfill(t, db, in, "one")
	lost := fallback("lost", "one")
	lost.Fallback.Verified, lost.Discarded = verified, true
	_, _, err := db.BackfillLost(t.Context(), lost)
	require.NoError(t, err)

	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), `SELECT event_id, verified_scheme, verified_key, verified_ref FROM emails`)
	require.NoError(t, err)
	got := map[string]contract.Verified{}
	var id string
	var v contract.Verified
	_, err = pgx.ForEachRow(rows, []any{&id, &v.Scheme, &v.Key, &v.Ref}, func() error { got[id] = v; return nil })
	require.NoError(t, err)
	require.Equal(t, map[string]contract.Verified{
		"direct": verified, "carried": verified, "lost": verified, "open": {Scheme: "none"}, "old": {},
	}, got)
}

// sumOf returns a SHA-256 in hex.
func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestRefusalVanishedAfterARetry: the row of a delivery has its last end alone.
func TestRefusalVanishedAfterARetry(t *testing.T) {
	t.Parallel()
	db, ctx := pgtest.New(t), t.Context()
	email := acceptOne(t, db)
	d := ledger.Delivery{EmailID: email.ID, Destination: "a", IdempotencyKey: "k"}
	save := func(state ledger.DeliveryState, lastError string, attempts int, code string) []ledger.DeliveryEnd {
		d.State, d.LastError, d.Attempts = state, lastError, attempts
		d.Call = &ledger.Call{At: time.UnixMilli(at(int64(attempts))), Code: code}
		require.NoError(t, db.SaveDelivery(ctx, d))
		require.NoError(t, db.SaveDelivery(ctx, d), "a repeat keeps nothing")
		h, err := db.History(ctx, email.ID)
		require.NoError(t, err)
		return h.Ends
	}

	before := save(ledger.Rejected, "answered 404", 1, "downstream_rejected")
	require.Len(t, before, 1)
	for i, state := range []ledger.DeliveryState{ledger.Rejected, ledger.Retrying, ledger.Ambiguous, ledger.Attempting, ledger.Delivered} {
		now := save(state, string(state), i+2, "connection_reset")
		require.Subset(t, now, before, state)
		before = now
	}
	require.Len(t, before, 4, "refused twice, unknown once, delivered")

	detail, err := db.FindEmail(ctx, ledger.Lookup{EventID: email.EventID})
	require.NoError(t, err)
	require.Equal(t, "connection_reset", detail.Deliveries[0].LastCode)
}

// TestInspectionVanishedAfterAReplay: the row of an email has the last run of each step.
func TestInspectionVanishedAfterAReplay(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	email := acceptOne(t, db)
	m := manifest(email.ID)
	m.Parser = "one"
	require.NoError(t, db.SaveManifest(ctx, m))
	steps := func() []ledger.PastStep {
		h, err := db.History(ctx, email.ID)
		require.NoError(t, err)
		return h.Steps
	}

	in := contract.RecordInput{Email: email, Routes: []string{"a"}}
	in.Inspected = contract.Inspected{Scanner: "ClamAV 1", Database: "1", RawView: "clean", AtUnixMilli: at(10)}
	in.Routed = contract.Routed{Rules: "r1", AtUnixMilli: at(20)}
	for sequence := range int64(3) { // all of them have the same run
		in.Sequence, in.State, in.AtUnixMilli = sequence+1, contract.Retrying, at(30+sequence)
		require.NoError(t, db.Record(ctx, in))
	}
	require.Empty(t, steps())

	m.Parser = "two"
	require.NoError(t, db.SaveManifest(ctx, m))
	in.Sequence, in.Routes = 4, []string{"b"}
	in.Inspected = contract.Inspected{Scanner: "ClamAV 2", AtUnixMilli: at(1010)}
	in.Routed = contract.Routed{Rules: "r2", AtUnixMilli: at(1020)}
	require.NoError(t, db.Record(ctx, in))
	kept := map[ledger.TimelineKind]ledger.PastStep{}
	for _, s := range steps() {
		kept[s.Step] = s
	}
	require.Len(t, kept, 3)
	require.Equal(t, "one", kept[ledger.TimeStored].Tool)
	require.Equal(t, "ClamAV 1/1/clean", kept[ledger.TimeInspected].Tool+"/"+kept[ledger.TimeInspected].ToolDatabase+"/"+string(kept[ledger.TimeInspected].RawView))
	require.Equal(t, []string{"a"}, kept[ledger.TimeRouted].Routes)
	require.Equal(t, "r1", kept[ledger.TimeRouted].Tool)
}

// TestClosedBeforeTheDelivery: the workflow's clock was behind the worker's.
func TestClosedBeforeTheDelivery(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	db := pgtest.Open(t, url, 2)
	email := acceptOne(t, db)
	require.NoError(t, db.SaveDelivery(ctx, ledger.Delivery{EmailID: email.ID, Destination: "a", State: ledger.Delivered, DeliveredAt: time.UnixMilli(at(360))}))
	closed := func(sequence int64, state contract.State, ms int64) *time.Time {
		require.NoError(t, db.Record(ctx, contract.RecordInput{Email: email, Sequence: sequence, State: state, AtUnixMilli: at(ms)}))
		h, err := db.History(ctx, email.ID)
		require.NoError(t, err)
		return h.Email.ClosedAt
	}
	require.Equal(t, at(360), closed(1, contract.Delivered, 100).UnixMilli())
	require.Nil(t, closed(2, contract.Retrying, 500), "open again")
	require.Equal(t, at(900), closed(3, contract.Delivered, 900).UnixMilli())
}

// TestHistoryPlans: the history of one email reads its own rows among many.
func TestHistoryPlans(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	db := pgtest.Open(t, url, 2)
	email := acceptOne(t, db)
	execute(t, url, `
WITH e AS (
    INSERT INTO emails (source, event_id, body_sha256, workflow_id, tenant, correlation_id, size, received_at)
    SELECT 's', 'evt_' || i, sha256(i::text::bytea), 'evt_' || i, 'default', 'c', 1, now() FROM generate_series(1, 5000) i RETURNING id
), s AS (
    INSERT INTO past_steps (email_id, step, at) SELECT id, 'inspected', now() FROM e
), p AS (
    INSERT INTO past_ends (email_id, destination, effect, at, state, attempts, last_error) SELECT id, 'a', '', now(), 'rejected', 1, '' FROM e
), a AS (
    INSERT INTO attempts (email_id, destination, effect, number, at, took_ms, status, code) SELECT id, 'a', '', 1, now(), 1, 404, '' FROM e
)
INSERT INTO deliveries (email_id, destination, effect, state, idempotency_key, attempts, last_status, last_error)
SELECT id, 'a', '', 'rejected', 'k', 1, 404, '' FROM e`)
	execute(t, url, `VACUUM ANALYZE past_steps, past_ends, deliveries, attempts`)

	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	for _, query := range []string{dbsqlc.HistoryOfSteps, dbsqlc.HistoryOfDeliveries, dbsqlc.ShowDeliveries} {
		require.NotContains(t, explain(t, conn, query, email.ID+7), "Seq Scan", query)
	}
}
