package operator

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/shared/ledger"
)

// TestAcks reads the buckets of the ingress.
func TestAcks(t *testing.T) {
	t.Parallel()
	answered := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "mailroom_ack_seconds", Buckets: []float64{.0005, .001, .0025, .005, .01, .015, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	})
	read := func() ledger.Ack {
		t.Helper()
		got, err := acks{answered}.Acks()
		require.NoError(t, err)
		return *got
	}
	require.Equal(t, ledger.Ack{ObjectiveSeconds: 0.5}, read())
	for range 90 {
		answered.Observe(0.004)
	}
	for range 6 {
		answered.Observe(0.5)
	}
	answered.Observe(0.6)
	for range 3 {
		answered.Observe(100)
	}
	got := read()
	require.InDelta(t, 0.0025+0.0025*50/90, got.P50, 1e-9, "ninety between 2.5 and 5 ms")
	require.InDelta(t, 0.25+0.25*5/6, got.P95, 1e-9, "six between 250 and 500 ms")
	require.InDelta(t, 10, got.P99, 1e-9, "beyond the last bucket")
	got.P50, got.P95, got.P99 = 0, 0, 0
	require.Equal(t, ledger.Ack{Count: 100, Within: 96, ObjectiveSeconds: 0.5}, got)
}
