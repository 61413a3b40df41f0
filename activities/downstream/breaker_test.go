package downstream

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

func breaker(failures int, openFor time.Duration) func(*config.Destination, *Config) {
	return func(to *config.Destination, _ *Config) {
		to.Breaker = config.Breaker{Failures: failures, OpenFor: openFor}
	}
}

func TestBreakerOpensAndSparesTheDestination(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var healthy atomic.Bool
	d := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		if !healthy.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}, breaker(3, 300*time.Millisecond))
	for range 3 {
		_, called, err := d.try(t.Context())
		require.True(t, fault.Is(err, fault.DownstreamUnavailable))
		require.True(t, called)
	}
	for range 50 {
		_, called, err := d.try(t.Context())
		f := fault.From(err)
		require.Equal(t, fault.BreakerOpen, f.Code)
		require.True(t, f.Temporary)
		require.GreaterOrEqual(t, f.RetryAfter, 300*time.Millisecond)
		require.False(t, called, "no attempt is burned while it is open")
	}
	require.Equal(t, int32(3), calls.Load())

	healthy.Store(true)
	require.Eventually(t, func() bool {
		_, _, err := d.try(t.Context())
		return err == nil
	}, 5*time.Second, 20*time.Millisecond)
	require.Equal(t, int32(4), calls.Load())
	require.Equal(t, []string{"closed", "open", "half-open", "closed"}, d.metrics.states())
}

func TestStatusSaysWhenTheNextProbeIs(t *testing.T) {
	t.Parallel()
	d := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}, breaker(1, time.Hour))
	require.Nil(t, d.Status()[0].ProbeAt, "the breaker is closed")
	before := time.Now()
	_, _, err := d.try(t.Context())
	require.Error(t, err)
	s := d.Status()[0]
	require.Equal(t, ledger.BreakerOpen, s.Breaker)
	require.NotNil(t, s.ProbeAt)
	require.WithinRange(t, *s.ProbeAt, before.Add(time.Hour), time.Now().Add(time.Hour))
}

func TestHalfOpenLetsOneProbeThrough(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	probe := make(chan struct{})
	d := setup(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		<-probe
	}, breaker(1, 50*time.Millisecond))
	_, _, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamUnavailable))
	require.Eventually(t, func() bool { return d.destinations["to"].breaker.State().String() == "half-open" },
		30*time.Second, 5*time.Millisecond)

	var crowd sync.WaitGroup
	var withheld atomic.Int32
	for range 20 {
		crowd.Go(func() {
			if _, _, err := d.try(t.Context()); fault.Is(err, fault.BreakerOpen) {
				withheld.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return withheld.Load() == 19 }, 30*time.Second, 5*time.Millisecond)
	close(probe)
	crowd.Wait()
	require.Equal(t, int32(2), calls.Load())
}

func TestWhatIsNoFailureOfTheDestination(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 404, 409, 422, 429, 302} {
		d := setup(t, answer(status), breaker(1, time.Hour))
		for range 3 {
			_, called, err := d.try(t.Context())
			require.Error(t, err)
			require.True(t, called, status)
		}
	}
	arrived := make(chan struct{}, 10)
	d := setup(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
	}, breaker(1, time.Hour))
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		_, called, err := d.try(ctx)
		require.True(t, fault.Is(err, fault.DownstreamUnavailable))
		require.True(t, called)
		require.Equal(t, resultCut, d.metrics.last())
	}
}

func TestOwnTimeoutIsAFailure(t *testing.T) {
	t.Parallel()
	d := setup(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, breaker(1, time.Hour), timeout(50*time.Millisecond))
	_, _, err := d.try(t.Context())
	require.True(t, fault.Is(err, fault.DownstreamUnavailable))
	require.Contains(t, fault.From(err).Public, "in time")
	_, _, err = d.try(t.Context())
	require.True(t, fault.Is(err, fault.BreakerOpen))
}

// TestHungDestinationOpensTheBreakerWhateverDeadlineEndsTheCalls: callers whose
// deadline is earlier than the destination's timeout count as failures too.
func TestHungDestinationOpensTheBreakerWhateverDeadlineEndsTheCalls(t *testing.T) {
	t.Parallel()
	d := setup(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, breaker(3, time.Hour), timeout(time.Minute))
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, called, err := d.try(ctx)
		cancel()
		require.True(t, called)
		require.True(t, fault.Is(err, fault.DownstreamUnavailable))
		require.Contains(t, fault.From(err).Public, "in time")
	}
	_, called, err := d.try(t.Context())
	require.False(t, called)
	require.True(t, fault.Is(err, fault.BreakerOpen))
}

func TestCallsInFlightAreBounded(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	hold := make(chan struct{})
	d := setup(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		most.Store(max(most.Load(), now.Add(1)))
		<-hold
		now.Add(-1)
	}, func(to *config.Destination, _ *Config) { to.MaxInFlight = 4 })
	d.destinations["to"].maxWait = 20 * time.Millisecond
	var all sync.WaitGroup
	var delivered, busy atomic.Int32
	for range 30 {
		all.Go(func() {
			_, called, err := d.try(t.Context())
			switch {
			case err == nil:
				delivered.Add(1)
			case fault.Is(err, fault.Overloaded) && !called && fault.From(err).RetryAfter >= time.Second:
				busy.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return busy.Load() == 26 }, 30*time.Second, 5*time.Millisecond)
	close(hold)
	all.Wait()
	require.Equal(t, int32(4), delivered.Load())
	require.LessOrEqual(t, most.Load(), int32(4))
	_, _, err := d.try(t.Context())
	require.NoError(t, err, "places are given back")
}

func TestGonePausesTheDestination(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	d := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusGone)
		}
	})
	d.destinations["to"].gone.lasts = 200 * time.Millisecond
	status, called, err := d.try(t.Context())
	require.Equal(t, http.StatusGone, status)
	require.True(t, called)
	require.True(t, fault.Is(err, fault.DownstreamGone))
	status, called, err = d.try(t.Context())
	require.Zero(t, status)
	require.False(t, called)
	f := fault.From(err)
	require.Equal(t, fault.DownstreamGone, f.Code)
	require.Positive(t, f.RetryAfter)
	require.Eventually(t, func() bool {
		_, _, err := d.try(t.Context())
		return err == nil
	}, 5*time.Second, 20*time.Millisecond)
	require.Equal(t, int32(2), calls.Load())
}

func TestPrometheus(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	p, err := NewPrometheus(reg, []config.Destination{{Name: "to"}})
	require.NoError(t, err)
	p.Attempt("to", resultDelivered, time.Second)
	p.Breaker("to", "closed")
	p.Breaker("to", "open")
	_, err = NewPrometheus(reg, []config.Destination{{Name: "to"}})
	require.Error(t, err)
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 3)
	for _, f := range families {
		if f.GetName() != "mailroom_delivery_breaker_state" {
			continue
		}
		require.Len(t, f.GetMetric(), len(States()))
		for _, m := range f.GetMetric() {
			require.Equal(t, m.GetLabel()[1].GetValue() == "open", m.GetGauge().GetValue() == 1)
		}
	}
}
