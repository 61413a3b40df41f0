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
