package worker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/activities"
	"mailroom/shared/config"
)

// TestPurgeConfig: nothing is removed unless the configuration says so.
func TestPurgeConfig(t *testing.T) {
	t.Parallel()
	keep := purgeConfig(&config.File{Discard: config.Discard{Content: config.DiscardKeep, After: time.Hour}})
	require.False(t, keep.RemoveContent)
	remove := purgeConfig(&config.File{Discard: config.Discard{Content: config.DiscardRemove, After: time.Hour}})
	require.Equal(t, activities.PurgeConfig{RemoveContent: true, RemoveAfter: time.Hour}, remove)
}
