package telemetry

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMetricsNameTheBuild(t *testing.T) {
	t.Parallel()
	families, err := NewRegistry().Gather()
	require.NoError(t, err)
	var labels []string
	for _, family := range families {
		if family.GetName() == "mailroom_build_info" {
			require.InDelta(t, 1, family.GetMetric()[0].GetGauge().GetValue(), 0)
			for _, label := range family.GetMetric()[0].GetLabel() {
				labels = append(labels, label.GetName())
			}
		}
	}
	require.Equal(t, []string{"commit", "go_version", "version"}, labels)
}
