package stack

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"mailroom/shared/testenv"
)

func TestIsolateGivesUsableServersOfItsOwnAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	testenv.Temporal(t)
	servers := TestInfra(os.Getenv)
	for range 2 {
		own, err := Isolate(t.Context(), servers, "isolated")
		require.NoError(t, err)
		require.Equal(t, "isolated", own.TemporalNamespace)
		require.NotEqual(t, servers.RawBucket, own.RawBucket)
		conn, err := pgx.Connect(t.Context(), own.DatabaseURL)
		require.NoError(t, err)
		var name string
		require.NoError(t, conn.QueryRow(t.Context(), "select current_database()").Scan(&name))
		require.NoError(t, conn.Close(t.Context()))
		require.Equal(t, "isolated", name)
		require.NoError(t, ensureBuckets(t.Context(), own))
		require.NoError(t, withTemporal(own.Temporal, func(c temporalClient) error {
			return c.searchable(t.Context(), own.TemporalNamespace)
		}))
	}
	require.Error(t, withTemporal(servers.Temporal, func(c temporalClient) error {
		return c.polled(t.Context(), "isolated", "no-worker-polls-this")
	}))
}

func TestClamdOfTheTestsAnswers(t *testing.T) {
	t.Parallel()
	require.NoError(t, pingClamd(t.Context(), testenv.Clamd(t)))
}
