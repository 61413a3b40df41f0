package ingress

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"mailroom/shared/ledger"
)

// acks reads how fast senders were answered out of this program's own histogram.
type acks struct{ seconds prometheus.Metric }

// Acks implements desks.Acks. A quantile is the upper bound of its bucket, and that of
// the last bucket where it lies beyond.
func (a acks) Acks() (*ledger.Ack, error) {
	var m dto.Metric
	if err := a.seconds.Write(&m); err != nil {
		return nil, fmt.Errorf("read mailroom_ack_seconds: %w", err)
	}
	h := m.GetHistogram()
	out := &ledger.Ack{Count: int64(h.GetSampleCount()), ObjectiveSeconds: ledger.AckObjective.Seconds()} //nolint:gosec // a count
	quantiles := []struct {
		share float64
		at    *float64
	}{{0.5, &out.P50}, {0.95, &out.P95}, {0.99, &out.P99}}
	var before float64 // how many are in the buckets up to here
	for _, b := range h.GetBucket() {
		if b.GetUpperBound() <= out.ObjectiveSeconds {
			out.Within = int64(b.GetCumulativeCount()) //nolint:gosec // a count
		}
		for _, q := range quantiles {
			if before < q.share*float64(out.Count) {
				*q.at = b.GetUpperBound()
			}
		}
		before = float64(b.GetCumulativeCount())
	}
	return out, nil
}
