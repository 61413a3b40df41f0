package downstream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

func TestPausedDestinationGetsNoCalls(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	d := setup(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	said := ledger.Control{Destination: "to", Paused: true, Actor: "olga", At: time.Now()}
	d.Obey([]ledger.Control{said, {Destination: "unknown", Paused: true, At: time.Now()}})
	_, called, err := d.try(t.Context())
	f := fault.From(err)
	require.Equal(t, fault.DestinationPaused, f.Code)
	require.True(t, f.Temporary)
	require.Equal(t, "no call was made: the destination is paused by olga", f.Public)
	require.GreaterOrEqual(t, f.RetryAfter, pausedWait)
	require.LessOrEqual(t, f.RetryAfter, 15*time.Second, "a resume is felt within seconds")
	require.False(t, called)
	require.Equal(t, resultPaused, d.metrics.last())
	require.Zero(t, calls.Load())
	require.Nil(t, d.Status()[0].LastFailureAt, "a call that was not made says nothing")

	d.Obey([]ledger.Control{said}) // the same control again
	_, _, err = d.try(t.Context())
	require.True(t, fault.Is(err, fault.DestinationPaused))

	d.Obey([]ledger.Control{{Destination: "to", Actor: "olga", At: said.At.Add(time.Second)}})
	_, called, err = d.try(t.Context())
	require.NoError(t, err)
	require.True(t, called)
	require.NotNil(t, d.Status()[0].LastSuccessAt)
}

func TestResumeEndsThePauseAfter410(t *testing.T) {
	t.Parallel()
	var back atomic.Bool
	d := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		if !back.Load() {
			w.WriteHeader(http.StatusGone)
		}
	})
	old := ledger.Control{Destination: "to", At: time.Now()}
	d.Obey([]ledger.Control{old})
	_, _, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamGone))
	s := d.Status()[0]
	require.NotNil(t, s.GoneUntil)
	require.NotNil(t, s.LastFailureAt)
	require.Contains(t, s.LastFailure, "410")
	back.Store(true)
	d.Obey([]ledger.Control{old}) // an earlier control
	_, _, err = d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamGone))
	d.Obey([]ledger.Control{{Destination: "to", At: old.At.Add(time.Second)}})
	_, _, err = d.try(t.Context())
	require.NoError(t, err)
	require.Nil(t, d.Status()[0].GoneUntil)
}

// answerBook saves in memory what answers say about all mail.
type answerBook struct {
	mu        sync.Mutex
	saved     map[string]time.Duration // answers 410
	asked     []time.Duration
	recovered int
	err       error
}

func newAnswers() *answerBook { return &answerBook{saved: map[string]time.Duration{}} }

func (b *answerBook) SaveGone(_ context.Context, destination string, lasts time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved[destination] = lasts
	return b.err
}

func (b *answerBook) SaveAsked(_ context.Context, _ string, wait time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, wait)
	return b.err
}

func (b *answerBook) SaveRecovered(context.Context, string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recovered++
	return b.err
}

// TestStopAfter410IsEveryWorkers: a 410 that one worker receives stops the others too,
// also those that are started later.
func TestStopAfter410IsEveryWorkers(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var back atomic.Bool
	handler := func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		if !back.Load() {
			w.WriteHeader(http.StatusGone)
		}
	}
	first := setup(t, handler)
	book := first.answers
	book.err = errors.New("down")
	_, _, err := first.try(t.Context())
	f := fault.From(err)
	require.Equal(t, fault.DownstreamGone, f.Code)
	require.LessOrEqual(t, f.RetryAfter, 15*time.Second, "a resume is felt within seconds")
	require.Contains(t, f.Public, "or a resume")
	require.Equal(t, map[string]time.Duration{"to": time.Hour}, book.saved)
	_, called, err := first.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamGone), "also where it could not be kept")
	require.False(t, called)

	back.Store(true)
	second, told := setup(t, handler), calls.Load()
	gone := ledger.Control{Destination: "to", Actor: "olga", At: time.Now(), GoneUntil: time.Now().Add(time.Hour)}
	second.Obey([]ledger.Control{gone})
	_, called, err = second.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamGone))
	require.False(t, called)
	require.Equal(t, told, calls.Load())
	require.True(t, second.Quick("to"), "nothing is sent, so nothing takes long")
	resume := ledger.Control{Destination: "to", Actor: "olga", At: gone.At.Add(time.Minute)}
	second.Obey([]ledger.Control{resume})
	require.Equal(t, resume.At, second.WakenAt("to"))
	_, called, err = second.try(t.Context())
	require.NoError(t, err)
	require.True(t, called)
}

// TestPauseOfManyIsAskedForSlowly: ten thousand waiting deliveries must not check again
// all the time.
func TestPauseOfManyIsAskedForSlowly(t *testing.T) {
	t.Parallel()
	var c control
	c.apply(ledger.Control{Paused: true, Actor: "a", At: time.Now()})
	now := time.Now()
	ask := func(n int, passing time.Duration) (longest time.Duration) {
		for range n {
			now = now.Add(passing / time.Duration(n))
			_, wait, paused := c.pause(now)
			require.True(t, paused)
			longest = max(longest, wait)
		}
		return longest
	}
	require.LessOrEqual(t, ask(100, 30*time.Second), 15*time.Second)
	for range 10 {
		ask(10_000, 20*time.Second)
	}
	require.Equal(t, maxPausedWait, c.wait)
	for range 10 {
		ask(20, 40*time.Second)
	}
	require.Equal(t, pausedWait, c.wait)
}
