package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecentStartsAreBounded(t *testing.T) {
	t.Parallel()
	clock, l := time.Unix(1_000_000, 0), newRecentStarts()
	for id := range int64(recentMost + 10) {
		l.begin(id+1, clock)
	}
	require.Len(t, l.started, recentMost)
	require.Equal(t, []int64{recentMost + 10, recentMost + 9}, l.latest(clock, 2), "the latest")
	require.Len(t, l.latest(clock, 2*recentMost), recentMost)
	known, started := l.find(10)
	require.False(t, known || started, "forgotten")

	l.end(1000, true)
	l.end(1001, false)
	l.end(10, true) // of one that is forgotten
	known, started = l.find(1000)
	require.True(t, known && started)
	known, _ = l.find(1001)
	require.False(t, known, "a failed start is none")
	require.NotContains(t, l.latest(clock, recentMost), int64(1001))
	require.Len(t, l.started, recentMost-1)
	require.Empty(t, l.latest(clock.Add(recentFor+time.Second), recentMost))
}
