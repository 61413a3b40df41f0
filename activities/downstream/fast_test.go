package downstream

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
)

func places(n int) func(*config.Destination, *Config) {
	return func(_ *config.Destination, c *Config) { c.FastCalls = n }
}

// warm makes a destination quick.
func (d *testDestination) warm(t *testing.T) {
	t.Helper()
	for range quickStreak {
		require.False(t, d.Quick("to"), "a destination is slow until it has shown otherwise")
		_, ok := d.Reserve("to")
		require.False(t, ok)
		_, _, err := d.try(t.Context())
		require.NoError(t, err)
	}
	require.True(t, d.Quick("to"))
}

func TestFirstAttemptsAreRegular(t *testing.T) {
	t.Parallel()
	d := setup(t, answer(200), places(2))
	d.warm(t)
	first, ok := d.Reserve("to")
	require.True(t, ok)
	second, ok := d.Reserve("to")
	require.True(t, ok)
	_, ok = d.Reserve("to")
	require.False(t, ok, "fast calls have so many places and no more")
	first()
	third, ok := d.Reserve("to")
	require.True(t, ok)
	second()
	third()
	require.True(t, d.Quick("nowhere"), "what is not configured is never called")
	_, ok = d.Reserve("nowhere")
	require.False(t, ok)
}

// TestSlowAnswerEndsFastAttempts: while a call takes longer than a second, and after it,
// no fast attempt starts at that destination.
func TestSlowAnswerEndsFastAttempts(t *testing.T) {
	t.Parallel()
	var slow atomic.Bool
	arrived, hold := make(chan struct{}, 1), make(chan struct{})
	d := setup(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if slow.CompareAndSwap(true, false) {
			arrived <- struct{}{}
			<-hold
		}
	})
	d.warm(t)
	slow.Store(true)
	ended := make(chan error, 1)
	go func() {
		_, _, err := d.try(t.Context())
		ended <- err
	}()
	<-arrived
	require.Eventually(t, func() bool { return !d.Quick("to") }, 10*time.Second, 10*time.Millisecond, "one call is overdue")
	for range quickStreak {
		_, _, err := d.try(t.Context())
		require.NoError(t, err)
	}
	require.False(t, d.Quick("to"), "quick answers beside it change nothing")
	close(hold)
	require.NoError(t, <-ended)
	d.warm(t)
}

func TestNoAnswerEndsFastAttempts(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	d := setup(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if broken.CompareAndSwap(true, false) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "no answer in HTTP\r\n\r\n")
				_ = conn.Close()
			}
		}
	})
	d.warm(t)
	broken.Store(true)
	_, _, err := d.try(t.Context())
	require.Error(t, err)
	d.warm(t)
}

func TestOpenBreakerNeedsNoRegularActivity(t *testing.T) {
	t.Parallel()
	d := setup(t, answer(500), breaker(1, time.Hour))
	require.False(t, d.Quick("to"))
	_, _, err := d.try(t.Context())
	require.Error(t, err)
	require.True(t, d.Quick("to"), "no call is made while the breaker is open")
	_, ok := d.Reserve("to")
	require.False(t, ok)
}

func TestDestinationWithoutKeyIsNeverFast(t *testing.T) {
	t.Parallel()
	d := setup(t, answer(200), withoutKey)
	for range 2 * quickStreak {
		_, _, err := d.try(t.Context())
		require.NoError(t, err)
	}
	require.False(t, d.Quick("to"))
	_, ok := d.Reserve("to")
	require.False(t, ok)
}
