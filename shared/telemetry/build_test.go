package telemetry

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestABuildIsAlwaysNamed(t *testing.T) {
	t.Parallel()
	b := ReadBuild()
	require.NotEmpty(t, b.Version)
	require.NotEmpty(t, b.Commit)
	require.NotEmpty(t, b.Date)
	require.Equal(t, runtime.Version(), b.Go)
	require.Equal(t, []any{"version", b.Version, "commit", b.Commit, "go_version", b.Go}, b.Attrs())

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
