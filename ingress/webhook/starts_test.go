package webhook

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"mailroom/ingress/ingresstest"
	"mailroom/shared/pgtest"
)

// TestAcceptedRowIsStartedAtOnce: the row that a request made is started by the
// same process, once, without a sweep.
func TestAcceptedRowIsStartedAtOnce(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	for i := range 10 {
		require.Equal(t, 200, d.send(t, mailOf("evt_"+strconv.Itoa(i))).status)
	}
	ingresstest.Eventually(t, func() bool { return d.ledger.Started() == 10 }, "all are started")
	require.NoError(t, d.stop())
	require.Len(t, d.workflows.IDs(), 10)
	require.Equal(t, 10, d.ledger.Count(func(r *ingresstest.Row) bool { return r.Claim }), "each was claimed before its commit")
	in := d.workflows.Inputs[0]
	require.Equal(t, d.ledger.Rows[in.Email.ID-1].Waiting.Email, in.Email)
	require.Equal(t, d.ledger.Rows[in.Email.ID-1].ReceivedAt.UnixMilli(), in.ReceivedAtUnixMilli)
}

// TestTemporalUnavailable: rows wait in the inbox while Temporal is unavailable, one start at a
// time tries, and all are started when it has recovered. Nothing is accepted any slower.
func TestTemporalUnavailable(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	var outage atomic.Bool
	outage.Store(true)
	d.workflows.SetAnswer(func(context.Context, string) error {
		if outage.Load() {
			return serviceerror.NewUnavailable("connection refused")
		}
		return nil
	})
	for i := range 300 {
		require.Equal(t, 200, d.send(t, mailOf("evt_"+strconv.Itoa(i))).status)
	}
	ingresstest.Eventually(t, func() bool {
		reserved := d.dispatcher.Reserve()
		if reserved {
			d.dispatcher.Cancel(1)
		}
		return !reserved
	}, "starts pause: new rows go to the inbox")
	tried := len(d.workflows.IDs())
	require.Less(t, tried, 300, "a pause is a pause")
	require.Zero(t, d.ledger.Started())
	outage.Store(false)
	ingresstest.Eventually(t, func() bool { return d.ledger.Started() == 300 }, "all are started when it has recovered")
	require.NoError(t, d.stop())
	require.Contains(t, d.log.String(), `"msg":"dependency.breaker","dependency":"temporal"`)
}

// TestOneBadRowHoldsNoOtherUp: Temporal is well but for one row, as when the shard of
// its workflow is unavailable.
func TestOneBadRowHoldsNoOtherUp(t *testing.T) {
	t.Parallel()
	d := openWithPostgres(t, pgtest.New(t))
	var tries, started atomic.Int64
	d.workflows.SetAnswer(func(_ context.Context, id string) error {
		if id == "evt_0" {
			tries.Add(1)
			return serviceerror.NewUnavailable("shard is unavailable")
		}
		started.Add(1)
		return nil
	})
	require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_0")).status)
	ingresstest.Eventually(t, func() bool { return tries.Load() >= 3 }, "it has failed often enough")
	for i := 1; i < 10; i++ {
		require.Equal(t, http.StatusOK, d.send(t, mailOf("evt_"+strconv.Itoa(i))).status)
	}
	ingresstest.Eventually(t, func() bool { return started.Load() == 9 }, "the others are started")
}

// TestFiftyAtOnce sends one event fifty times side by side.
func TestFiftyAtOnce(t *testing.T) {
	t.Parallel()
	d := openIngress(t)
	var fresh, repeated atomic.Int64
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			got := d.send(t, mailOf("evt_1"))
			require.Equal(t, http.StatusOK, got.status)
			if strings.Contains(got.body, `"duplicate":true`) {
				repeated.Add(1)
			} else {
				fresh.Add(1)
			}
		})
	}
	group.Wait()
	require.Equal(t, int64(1), fresh.Load())
	require.Equal(t, int64(49), repeated.Load())
	require.Equal(t, 49, ingresstest.Counted(t, d.server.metrics.duplicates.WithLabelValues("mailparse")))
	ingresstest.Eventually(t, func() bool { return d.ledger.Started() == 1 }, "it is started")
	require.NoError(t, d.stop())
	require.Equal(t, []string{"evt_1"}, d.workflows.IDs())
}
