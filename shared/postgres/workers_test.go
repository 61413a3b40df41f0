package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/ledger"
	"mailroom/shared/pgtest"
)

func TestWorkerReports(t *testing.T) {
	t.Parallel()
	url, ctx := pgtest.URL(t), t.Context()
	workers := pgtest.Open(t, url, 2)
	reports := func() map[string]ledger.WorkerReport {
		list, err := workers.WorkerReports(ctx)
		require.NoError(t, err)
		out := map[string]ledger.WorkerReport{}
		for _, r := range list {
			out[r.Worker] = r
		}
		return out
	}

	down := map[string]string{"scanner": ledger.CheckUnavailable, "postgres": ledger.CheckOK}
	require.NoError(t, workers.SaveWorkerReport(ctx, "w1", map[string]string{"scanner": ledger.CheckOK}))
	require.NoError(t, workers.SaveWorkerReport(ctx, "w1", down))
	require.NoError(t, workers.SaveWorkerReport(ctx, "w2", down))
	require.Len(t, reports(), 2)
	require.Equal(t, down, reports()["w1"].Checks)
	require.True(t, reports()["w1"].Fresh)

	execute(t, url, `UPDATE worker_reports SET updated_at = now() - interval '46 s' WHERE worker = 'w1'`)
	require.False(t, reports()["w1"].Fresh)
	execute(t, url, `UPDATE worker_reports SET updated_at = now() - interval '8 d' WHERE worker = 'w1'`)
	require.NoError(t, workers.SaveWorkerReport(ctx, "w2", down))
	require.NotContains(t, reports(), "w1", "it is forgotten")
	require.NoError(t, workers.DeleteWorkerReport(ctx, "w2"))
	require.Empty(t, reports())
}
