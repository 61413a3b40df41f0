package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
)

// answers is a ledger with configured results.
type answers struct {
	out   contract.BackfillResult
	found bool
	err   error
}

func (a *answers) BackfillRow(context.Context, contract.BackfillInput, []byte) (contract.BackfillResult, error) {
	return a.out, a.err
}

func (a *answers) BackfillLost(context.Context, contract.BackfillInput) (contract.BackfillResult, bool, error) {
	return a.out, a.found, a.err
}

func TestBackfillReportsItsResult(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ledger := &answers{}
	reg := prometheus.NewPedanticRegistry()
	b, err := newBackfill(ledger, slog.New(slog.NewJSONHandler(&log, nil)), reg)
	require.NoError(t, err)
	in := contract.BackfillInput{Email: contract.Email{EventID: "evt_1", CorrelationID: "c-1"}}
	for result, out := range map[string]contract.BackfillResult{
		resultBackfilled: {Email: contract.Email{ID: 1}}, resultOtherBody: {OtherBody: true},
		resultElsewhere: {Duplicate: true}, resultEarly: {FirstMissing: true},
	} {
		ledger.out = out
		got, err := b.BackfillRow(t.Context(), in, []byte("private"))
		require.NoError(t, err)
		require.Equal(t, out, got)
		require.InDelta(t, 1, counted(t, reg)[result], 0, result)
	}
	_, found, err := b.BackfillLost(t.Context(), in)
	require.NoError(t, err)
	require.False(t, found)
	require.InDelta(t, 1, counted(t, reg)[resultLost], 0)
	require.Contains(t, log.String(), `"event_id":"evt_1"`)
	require.NotContains(t, log.String(), "private")

	log.Reset()
	ledger.err = errors.New("away")
	_, err = b.BackfillRow(t.Context(), in, nil)
	require.Error(t, err)
	_, _, err = b.BackfillLost(t.Context(), in)
	require.Error(t, err)
	require.Empty(t, log.String())
}

// counted returns mailroom_enrolled_total by its result.
func counted(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Equal(t, "mailroom_enrolled_total", families[0].GetName())
	out := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		out[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	return out
}
