package ingress

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
)

// TestSlowSearchesKeepNobodyOut: questions of operators that take the database too
// long hold every connection of theirs until they are stopped. Tokens and sessions
// are found beside them.
func TestSlowSearchesKeepNobodyOut(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var closing closers
	d, err := open(t.Context(), config.Env{DatabaseURL: config.NewSecret(url), S3Endpoint: "http://127.0.0.1:1", RawBucket: "raw", AttachmentsBucket: "attachments"}, seal.Keyring{},
		prometheus.NewRegistry(), slog.New(slog.DiscardHandler), &closing)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, closing.close()) })
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE emails IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	var searches sync.WaitGroup
	for range operatorConns {
		searches.Go(func() {
			_, _, err := d.reader.ListEmails(t.Context(), ledger.Filter{Limit: 10})
			require.True(t, postgres.Stopped(err), "%v", err)
		})
	}
	watch, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { _ = watch.Close(t.Context()) }()
	waiting := func() (n int) {
		require.NoError(t, watch.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n))
		return n
	}
	eventually(t, func() bool { return waiting() == operatorConns }, "the searches hold their connections")
	began := time.Now()
	_, err = d.logins.FindSession(t.Context(), [32]byte{1})
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	_, err = d.logins.FindToken(t.Context(), [32]byte{1})
	require.True(t, fault.Is(err, fault.NotFound), "%v", err)
	require.Less(t, time.Since(began), operatorLimit/2)
	searches.Wait()
	require.NoError(t, tx.Rollback(t.Context()))
}
