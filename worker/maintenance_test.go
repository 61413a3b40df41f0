package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/config"
)

// TestTendConfig: nothing is removed unless the configuration says so.
func TestMaintenanceConfig(t *testing.T) {
	t.Parallel()
	keep := maintenanceConfig(&config.File{Discard: config.Discard{Content: config.DiscardKeep, After: time.Hour}})
	require.False(t, keep.RemoveContent)
	remove := maintenanceConfig(&config.File{Discard: config.Discard{Content: config.DiscardRemove, After: time.Hour}})
	require.Equal(t, activities.TendConfig{RemoveContent: true, RemoveAfter: time.Hour}, remove)
}
