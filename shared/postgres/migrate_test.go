package postgres_test

import (
	"sync"
	"testing"

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

func TestMigrateWithoutADatabase(t *testing.T) {
	t.Parallel()
	err := postgres.Migrate(t.Context(), "postgres://nobody@127.0.0.1:1/none?connect_timeout=2")
	require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
	db := pgtest.Open(t, "postgres://nobody@127.0.0.1:1/none?connect_timeout=2", 1)
	err = db.Pending(t.Context())
	require.True(t, fault.Is(err, fault.StorageUnavailable), "%v", err)
}
