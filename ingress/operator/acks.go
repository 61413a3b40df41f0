package operator

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"mailroom/shared/ledger"
)

// acks reads how fast senders were answered out of this program's own histogram.
type acks struct{ seconds prometheus.Metric }

// Acks implements operations.Acks. Within its bucket a quantile is computed as if the answers
// were spread evenly, as Prometheus does; beyond the last it is that one's bound.
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

	var before, lower float64 // how many are in the buckets up to here, and where the last of them ends
	for _, b := range h.GetBucket() {
		if b.GetUpperBound() <= out.ObjectiveSeconds {
			out.Within = int64(b.GetCumulativeCount()) //nolint:gosec // a count
		}
		upTo, upper := float64(b.GetCumulativeCount()), b.GetUpperBound()
		for _, q := range quantiles {
			switch rank := q.share * float64(out.Count); {
			case upTo < rank:
				*q.at = upper
			case before < rank:
				*q.at = lower + (upper-lower)*(rank-before)/(upTo-before)
			}
		}
		before, lower = upTo, upper
	}

	return out, nil
}
