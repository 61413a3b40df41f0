package ingress

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/shared/ledger"
)

// TestAcks reads the histogram that the server itself observes.
func TestAcks(t *testing.T) {
	t.Parallel()
	m, err := newMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	read := func() ledger.Ack {
		t.Helper()
		got, err := acks{m.ackSeconds}.Acks()
		require.NoError(t, err)
		return *got
	}
	require.Equal(t, ledger.Ack{ObjectiveSeconds: 0.5}, read())
	for range 90 {
		m.ackSeconds.Observe(0.004)
	}
	for range 6 {
		m.ackSeconds.Observe(0.5)
	}
	m.ackSeconds.Observe(0.6)
	for range 3 {
		m.ackSeconds.Observe(100)
	}
	got := read()
	require.InDelta(t, 0.0025+0.0025*50/90, got.P50, 1e-9, "ninety between 2.5 and 5 ms")
	require.InDelta(t, 0.25+0.25*5/6, got.P95, 1e-9, "six between 250 and 500 ms")
	require.InDelta(t, 10, got.P99, 1e-9, "beyond the last bucket")
	got.P50, got.P95, got.P99 = 0, 0, 0
	require.Equal(t, ledger.Ack{Count: 100, Within: 96, ObjectiveSeconds: 0.5}, got)
	require.Equal(t, "96.00 %", share(96, 100))
	require.Equal(t, "99.99 %", share(999_999, 1_000_000), "not all is not 100 %")
}
