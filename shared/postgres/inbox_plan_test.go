package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

const backlog = 100_000

// fillBacklog returns a database with so many rows in the inbox, as statistics know it.
func fillBacklog(t testing.TB, rows int) (*pgtest.DB, *pgx.Conn) {
	t.Helper()
	url := pgtest.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	_, err = conn.Exec(t.Context(), `
WITH e AS (
    INSERT INTO emails (source, event_id, body_sha256, workflow_id, tenant, correlation_id, size, received_at)
    SELECT 'mailparse', 'evt_' || i, sha256(i::text::bytea), 'evt_' || i, 'default', 'c', 1000, now()
      FROM generate_series(1, $1::int) i RETURNING id)
INSERT INTO inbox (email_id, body) SELECT id, convert_to(repeat('x', 1000), 'UTF8') FROM e`, rows)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "VACUUM ANALYZE inbox, emails")
	require.NoError(t, err)
	return pgtest.Open(t, url, 4), conn
}

func explain(t *testing.T, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "EXPLAIN (ANALYZE, BUFFERS) "+sql, args...)
	require.NoError(t, err)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(plan, "\n")
}

// TestInboxPlans: what the starter asks many times a second reads the rows it
// names and not the whole inbox.
func TestInboxPlans(t *testing.T) {
	t.Parallel()
	db, conn := fillBacklog(t, backlog)
	ids := make([]int64, 128)
	for i := range ids {
		ids[i] = int64(backlog - i)
	}
	for name, c := range map[string]struct {
		sql  string
		args []any
	}{
		"claim":   {postgres.ClaimWaitingSQL, []any{128, time.Second}},
		"mark":    {postgres.MarkStartedSQL, []any{ids}},
		"release": {postgres.ReleaseClaimsSQL, []any{time.Second, ids}},
		"ahead":   {postgres.CountAheadSQL, []any{128, ids}},
	} {
		require.NotContains(t, explain(t, conn, c.sql, c.args...), "Seq Scan", name)
		// A prepared statement gets a plan for any values after some calls.
		_, err := conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan")
		require.NoError(t, err)
		require.NotContains(t, explain(t, conn, c.sql, c.args...), "Seq Scan", name)
		_, err = conn.Exec(t.Context(), "RESET plan_cache_mode")
		require.NoError(t, err)
	}
	n, err := db.CountAhead(t.Context(), 128, ids)
	require.NoError(t, err)
	require.Equal(t, 128, n)
	waiting, _, err := db.InboxDepth(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, backlog-128, waiting)
}
