package guard

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

func openGate(t testing.TB, src config.Source) *Gate {
	t.Helper()
	src.Name = "mailparse"
	g, err := NewGate(src)
	require.NoError(t, err)
	return g
}

func TestGateAddresses(t *testing.T) {
	t.Parallel()
	g := openGate(t, config.Source{AllowFrom: []string{"203.0.113.0/24", "2001:db8::7"}})
	for text, want := range map[string]bool{
		"203.0.113.255": true, "2001:db8::7": true,
		"203.0.114.0": false, "2001:db8::8": false, "127.0.0.1": false,
	} {
		_, err := g.Enter(netip.MustParseAddr(text))
		require.Equal(t, !want, fault.Is(err, fault.AddressRefused), text)
		require.Equal(t, want, err == nil, text)
	}
	_, err := g.Enter(netip.Addr{})
	require.True(t, fault.Is(err, fault.AddressRefused), "an unknown address is in no network")
	_, err = NewGate(config.Source{Name: "postmark", AllowFrom: []string{"all addresses"}})
	require.ErrorContains(t, err, `source postmark: allow_from: "all addresses"`)
}

// TestGateOrder checks that a permanent refusal does not count against the limits.
func TestGateOrder(t *testing.T) {
	t.Parallel()
	off := openGate(t, config.Source{Disabled: true, AllowFrom: []string{"192.0.2.1"}, Limit: config.SourceLimit{InFlight: 1}})
	_, err := off.Enter(stranger)
	require.True(t, fault.Is(err, fault.SourceDisabled))

	g := openGate(t, config.Source{AllowFrom: []string{"203.0.113.9"}, Limit: config.SourceLimit{InFlight: 1}})
	_, err = g.Enter(netip.MustParseAddr("192.0.2.1"))
	require.True(t, fault.Is(err, fault.AddressRefused))
	leave, err := g.Enter(stranger)
	require.NoError(t, err)
	_, err = g.Enter(stranger)
	require.True(t, fault.Is(err, fault.RateLimited))
	require.Positive(t, fault.From(err).RetryAfter)
	leave()
	leave, err = g.Enter(stranger)
	require.NoError(t, err, "a refused request holds no place")
	leave()
}

func TestGateInFlight(t *testing.T) {
	t.Parallel()
	g := openGate(t, config.Source{Limit: config.SourceLimit{InFlight: 3}})
	var inside, most, entered atomic.Int64
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 2000 {
				leave, err := g.Enter(stranger)
				if err != nil {
					continue
				}
				n := inside.Add(1)
				for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
				}
				inside.Add(-1)
				entered.Add(1)
				leave()
			}
		})
	}

	group.Wait()
	require.LessOrEqual(t, most.Load(), int64(3))
	require.Positive(t, entered.Load())
	require.Zero(t, g.under.Load())
}

func TestGateRate(t *testing.T) {
	t.Parallel()
	g := openGate(t, config.Source{Limit: config.SourceLimit{Rate: 2, Burst: 3}})
	for range 10 {
		leave, err := g.Enter(stranger) // requests without a valid signature do not use up the rate
		require.NoError(t, err)
		leave()
	}
	for range 3 {
		require.NoError(t, g.Spend(start))
	}
	for range 2 { // a refused request is not counted
		err := g.Spend(start)
		require.True(t, fault.Is(err, fault.RateLimited))
		require.True(t, fault.From(err).Temporary)
		require.InDelta(t, 500*time.Millisecond, fault.From(err).RetryAfter, float64(time.Millisecond))
	}
	require.NoError(t, g.Spend(start.Add(500*time.Millisecond)))
	require.Error(t, g.Spend(start.Add(500*time.Millisecond)))

	plain := openGate(t, config.Source{Limit: config.SourceLimit{Rate: 5}})
	for range 5 {
		require.NoError(t, plain.Spend(start), "the burst is the rate where it is not said")
	}
	require.Error(t, plain.Spend(start))
}

func TestGateAllocatesNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	for _, g := range []*Gate{
		openGate(t, config.Source{}),
		openGate(t, config.Source{AllowFrom: []string{"203.0.113.0/24"}, Limit: config.SourceLimit{InFlight: 9, Rate: 1e6, Burst: 1e6}}),
	} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			leave, err := g.Enter(stranger)
			if err != nil || g.Spend(start) != nil {
				panic("refused")
			}
			leave()
		}))
	}
}

func TestBackpressure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bounds  config.Backpressure
		waiting int64
		oldest  time.Duration
		full    bool
	}{
		"unbounded":        {config.Backpressure{}, 1 << 40, 1000 * time.Hour, false},
		"at the depth":     {config.Backpressure{Depth: 10}, 10, 1000 * time.Hour, false},
		"too deep":         {config.Backpressure{Depth: 10}, 11, 0, true},
		"at the age":       {config.Backpressure{Age: time.Hour}, 1 << 40, time.Hour, false},
		"too old":          {config.Backpressure{Age: time.Hour}, 1, time.Hour + 1, true},
		"old and empty":    {config.Backpressure{Age: time.Hour}, 0, time.Hour + 1, false},
		"either is enough": {config.Backpressure{Depth: 10, Age: time.Hour}, 11, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := NewBackpressure(c.bounds)
			require.NoError(t, b.Check(start), "nothing is measured yet")
			b.RecordInbox(c.waiting, c.oldest, start)
			err := b.Check(start)
			require.Equal(t, c.full, fault.Is(err, fault.InboxFull), "%v", err)
			if c.full {
				require.Equal(t, inboxRetry, fault.From(err).RetryAfter)
				require.NoError(t, b.Check(start.Add(measureFor)), "an old measurement refuses no event")
			}
			b.RecordInbox(0, 0, start)
			require.NoError(t, b.Check(start))
		})
	}
}
