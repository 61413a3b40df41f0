package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
)

// lockEmails makes every reading of emails wait until unlock.
func lockEmails(t *testing.T, url string) (unlock func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE emails IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback(t.Context())) }
}

// TestSlowQuestionsAreStopped by the server; the connection serves on.
func TestSlowQuestionsAreStopped(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool, err := postgres.Open(t.Context(), url, postgres.Config{MaxConns: 1, StatementTimeout: 100 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	limited := pgtest.Stores(pool)
	_, err = limited.FindSession(t.Context(), [32]byte{1})
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)

	unlock := lockEmails(t, url)
	_, _, err = limited.ListEmails(t.Context(), ledger.Filter{Limit: 10})
	require.True(t, postgres.Stopped(err), "%v", err)
	_, err = limited.FindSession(t.Context(), [32]byte{1})
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	unlock()
	_, _, err = limited.ListEmails(t.Context(), ledger.Filter{Limit: 10})
	require.NoError(t, err)
	_, _, err = limited.CheckDecisions(t.Context(), 10)
	require.NoError(t, err)
}
