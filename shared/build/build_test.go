package build

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestABuildIsAlwaysNamed(t *testing.T) {
	t.Parallel()
	b := Read()
	require.NotEmpty(t, b.Version)
	require.NotEmpty(t, b.Commit)
	require.NotEmpty(t, b.Date)
	require.Equal(t, runtime.Version(), b.Go)
	require.Equal(t, []any{"version", b.Version, "commit", b.Commit, "go_version", b.Go}, b.Attrs())
	require.Equal(t, "mailctl  "+b.Version+"\ncommit   "+b.Commit+"\ndate     "+b.Date+"\n"+b.Go+"\n", b.Text("mailctl"))
}
