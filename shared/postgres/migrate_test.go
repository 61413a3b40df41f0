package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/testenv"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	db := pgtest.Open(t, url, 2)
	require.ErrorContains(t, db.Pending(t.Context()), "migration 0001_create_ledger.sql is not applied: run `mailroom migrate`")

	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = postgres.Migrate(t.Context(), url) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.NoError(t, db.Pending(t.Context()))
	require.NoError(t, postgres.Migrate(t.Context(), url), "a repeat finds nothing to do")
	accept(t, db, event("e", "body"))
}

// TestAFailedMigrationLeavesNothingOfItself: what stands in the way of one migration leaves
// the database as those before it made it, and the next call goes on from there.
func TestAFailedMigrationLeavesNothingOfItself(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(t.Context(), "CREATE TABLE logins ()") // the last of three tables of 0003
	require.NoError(t, err)

	require.ErrorContains(t, postgres.Migrate(t.Context(), url), "0003_add_access.sql")
	var tables []string
	require.NoError(t, conn.QueryRow(t.Context(),
		"SELECT array_agg(tablename::text ORDER BY 1) FROM pg_tables WHERE tablename IN ('emails', 'tokens', 'sessions')").Scan(&tables))
	require.Equal(t, []string{"emails"}, tables)
	db := pgtest.Open(t, url, 2)
	require.ErrorContains(t, db.Pending(t.Context()), "migration 0003_add_access.sql is not applied")

	_, err = conn.Exec(t.Context(), "DROP TABLE logins")
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(t.Context(), url))
	require.NoError(t, db.Pending(t.Context()))

	// An older program ignores what only a newer one knows.
	_, err = conn.Exec(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
	require.NoError(t, err)
	require.NoError(t, db.Pending(t.Context()))
	require.NoError(t, postgres.Migrate(t.Context(), url))
}

func TestMigrateWithoutADatabase(t *testing.T) {
	t.Parallel()
	err := postgres.Migrate(t.Context(), "postgres://nobody@127.0.0.1:1/none?connect_timeout=2")
	require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
	db := pgtest.Open(t, "postgres://nobody@127.0.0.1:1/none?connect_timeout=2", 1)
	err = db.Pending(t.Context())
	require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
}
