package downstream

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// TestAProbeEndsAStop: an attempt that a person asked for passes a stop after 410, one at a
// time; its success ends the stop for every worker and wakes what waits.
func TestAProbeEndsAStop(t *testing.T) {
	t.Parallel()
	var back atomic.Bool
	d := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		if !back.Load() {
			w.WriteHeader(http.StatusGone)
		}
	})
	probe := ledger.Delivery{Destination: "to", IdempotencyKey: testKey, Probe: true}
	_, _, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamGone), err)

	back.Store(true)
	_, called, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamGone), err)
	require.False(t, called, "only a person's attempt passes")
	refused := errors.New("no place is free for a fast attempt")
	_, err = d.Send(t.Context(), contract.Email{Tenant: "default"}, probe, func(context.Context) ([]byte, error) { return nil, refused })
	require.ErrorIs(t, err, refused)
	_, called, err = d.attempt(t.Context(), probe)
	require.NoError(t, err, "what made no call was no probe")
	require.True(t, called)
	require.Equal(t, 1, d.answers.recovered)
	_, _, err = d.try(t.Context())
	require.NoError(t, err, "the stop is over")
	require.Equal(t, 1, d.answers.recovered, "a success that ends nothing wakes nothing")

	back.Store(false)
	_, _, err = d.try(t.Context())
	require.Error(t, err)
	_, called, err = d.attempt(t.Context(), probe)
	require.True(t, fault.Is(err, fault.DownstreamGone), err)
	require.False(t, called, "many probes at once are no probe")
}

// TestWorkersLearnARecovery: it ends their stop, and is what mail that waits asks for.
func TestWorkersLearnARecovery(t *testing.T) {
	t.Parallel()
	d, at := setup(t, answer(http.StatusOK)), time.Now()
	d.Obey([]ledger.Control{{Destination: "to", GoneUntil: at.Add(time.Hour), AskedAt: at, AskedUntil: at.Add(time.Hour)}})
	_, called, err := d.try(t.Context())
	require.Error(t, err)
	require.False(t, called)
	require.Zero(t, d.WakenAt("to"))
	_, until := d.Asked("to")
	require.Equal(t, at.Add(time.Hour), until)

	d.Obey([]ledger.Control{{Destination: "to", RecoveredAt: at.Add(time.Minute)}})
	_, _, err = d.try(t.Context())
	require.NoError(t, err)
	require.Equal(t, at.Add(time.Minute), d.WakenAt("to"))
	_, until = d.Asked("to")
	require.Zero(t, until)
	d.Obey([]ledger.Control{{Destination: "to", At: at.Add(time.Hour), RecoveredAt: at.Add(time.Minute)}})
	require.Equal(t, at.Add(time.Hour), d.WakenAt("to"), "a resume is later")
}

// TestAChangedRetryAfterIsSaved: once for each that differs, whatever number of calls get it.
func TestAChangedRetryAfterIsSaved(t *testing.T) {
	t.Parallel()
	var after atomic.Value
	after.Store("3600")
	d := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		if s := after.Load().(string); s != "" {
			w.Header().Set("Retry-After", s)
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	for range 3 {
		_, _, err := d.try(t.Context())
		require.Error(t, err)
	}
	require.Equal(t, []time.Duration{time.Hour}, d.answers.asked)
	after.Store("60")
	for range 2 {
		_, _, _ = d.try(t.Context())
	}
	require.Equal(t, []time.Duration{time.Hour, time.Minute}, d.answers.asked)

	after.Store("")
	for range 2 {
		_, _, err := d.try(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, 1, d.answers.recovered, "it takes mail before the time that it asked for is over")
}

// TestRecoveriesArePaced: mail that alone makes a destination fail, between other mail that
// it takes, is not woken more often than the retry policy would.
func TestRecoveriesArePaced(t *testing.T) {
	t.Parallel()
	var w waits
	now, woken := time.Now(), 0
	for range 60 {
		now = now.Add(30 * time.Second)
		w.ask(now, time.Hour)
		if w.recover(now, 0) {
			woken++
		}
	}
	require.Equal(t, 6, woken, "every five minutes of thirty")
	w.open(now)
	require.False(t, w.recover(now, 0))
	require.True(t, w.recover(now, now.Add(time.Hour).UnixNano()), "the end of a stop always does")
	require.False(t, w.recover(now, now.Add(-time.Hour).UnixNano()))
}
