package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/contract"
)

// waitsLedger knows that email 1 waited for an hour.
type waitsLedger struct {
	activities.StateRecorder
	activities.EndRecorder
	asked [][]int64
	fail  bool
}

func (l *waitsLedger) Record(context.Context, contract.RecordInput) error { return nil }

func (l *waitsLedger) Waited(_ context.Context, ids []int64) (map[int64]time.Duration, error) {
	l.asked = append(l.asked, ids)
	if l.fail {
		return nil, errors.New("unavailable")
	}
	return map[int64]time.Duration{1: time.Hour}, nil
}

// TestLatencyMetricLeavesOutPeople, and asks the ledger about few emails.
func TestLatencyMetricLeavesOutPeople(t *testing.T) {
	t.Parallel()
	l, reg := &waitsLedger{}, prometheus.NewRegistry()
	r, err := newRecorder(l, slog.New(slog.DiscardHandler), reg)
	require.NoError(t, err)
	record := func(id int64, s contract.State, took time.Duration) {
		require.NoError(t, r.Record(t.Context(), contract.RecordInput{Email: contract.Email{ID: id}, State: s, AtUnixMilli: took.Milliseconds()}))
	}
	record(1, contract.Quarantined, time.Hour)
	record(2, contract.Delivered, quick)
	require.Empty(t, l.asked)
	record(1, contract.Delivered, time.Hour+2*time.Second)
	l.fail = true
	record(3, contract.Discarded, 10*time.Second) // counts as it is
	require.Equal(t, [][]int64{{1}, {3}}, l.asked)

	families, err := reg.Gather()
	require.NoError(t, err)
	sums := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "mailroom_email_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			sums[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleSum()
		}
	}
	require.InDelta(t, 7, sums["delivered"], 0.001)
	require.InDelta(t, 10, sums["discarded"], 0.001)
}
