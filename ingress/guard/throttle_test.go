package guard

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
)

var (
	stranger = netip.MustParseAddr("203.0.113.9")
	start    = time.Unix(1_800_000_000, 0)
)

func tenAMinute() *Throttle {
	return NewThrottle(config.Throttle{Failures: 10, Per: time.Minute}, NewKnown())
}

// RecordAuthentic records an authentic request from addr.
func (k *Known) RecordAuthentic(addr netip.Addr, now time.Time) { k.recordAuthentic(keyOf(addr), now) }

func fail(t *Throttle, addr netip.Addr, times int, now time.Time) {
	for range times {
		t.Failed(addr, now)
	}
}

func refused(t *Throttle, addr netip.Addr, now time.Time) bool {
	_, refused := t.Refused(addr, now)
	return refused
}

func TestThrottleFillsAndLeaks(t *testing.T) {
	t.Parallel()
	throttle := tenAMinute()
	fail(throttle, stranger, 9, start)
	require.False(t, refused(throttle, stranger, start))
	fail(throttle, stranger, 1, start)
	wait, no := throttle.Refused(stranger, start)
	require.True(t, no)
	require.InDelta(t, 6*time.Second, wait, float64(time.Millisecond), "one leaks in a tenth of the minute")
	require.True(t, refused(throttle, stranger, start.Add(-time.Hour)), "a clock that went back changes nothing")
	require.False(t, refused(throttle, stranger, start.Add(wait)))
	fail(throttle, stranger, 1, start.Add(wait))
	require.True(t, refused(throttle, stranger, start.Add(wait)), "and one more is one too many again")
	require.False(t, refused(throttle, netip.MustParseAddr("203.0.113.10"), start), "others are not meant")

	fail(throttle, stranger, 1000, start)
	require.False(t, refused(throttle, stranger, start.Add(wait+wait+time.Second)), "what is counted has a bound")
}

func TestThrottleSpares(t *testing.T) {
	t.Parallel()
	throttle := tenAMinute()
	for _, addr := range []netip.Addr{{}, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")} {
		fail(throttle, addr, 100, start)
		require.False(t, refused(throttle, addr, start), "%v", addr)
	}
	for name, off := range map[string]config.Throttle{
		"off":         {Failures: 1, Per: time.Minute, Off: true},
		"no failures": {Per: time.Minute},
		"no period":   {Failures: 1},
	} {
		throttle := NewThrottle(off, NewKnown())
		fail(throttle, stranger, 100, start)
		throttle.known.RecordAuthentic(stranger, start)
		require.False(t, refused(throttle, stranger, start), name)
	}
}

// TestThrottleExemptsKnownAddresses has an attacker share the provider's address.
func TestThrottleExemptsKnownAddresses(t *testing.T) {
	t.Parallel()
	throttle := tenAMinute()
	throttle.known.RecordAuthentic(stranger, start)
	fail(throttle, stranger, 100, start)
	require.False(t, refused(throttle, stranger, start))
	later := start.Add(goodFor)
	fail(throttle, stranger, 100, later)
	require.False(t, refused(throttle, stranger, later.Add(-time.Nanosecond)))
	require.True(t, refused(throttle, stranger, later), "not for ever")
	throttle.known.RecordAuthentic(stranger, later)
	require.False(t, refused(throttle, stranger, later))
}

func TestThrottleCountsIPv6BySubscriber(t *testing.T) {
	t.Parallel()
	throttle := tenAMinute()
	for i := range 10 {
		addr := netip.MustParseAddr("2001:db8:1:2::").As16()
		addr[15] = byte(i)
		throttle.Failed(netip.AddrFrom16(addr), start)
	}
	require.True(t, refused(throttle, netip.MustParseAddr("2001:db8:1:2:ffff::1"), start))
	require.False(t, refused(throttle, netip.MustParseAddr("2001:db8:1:3::1"), start))
	fail(throttle, stranger, 10, start)
	require.True(t, refused(throttle, netip.MustParseAddr("::ffff:203.0.113.9"), start))
}

func numbered(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x0b000000+uint32(n))
	return netip.AddrFrom4(b)
}

// TestThrottleForgets counts four times as many addresses as the table holds.
func TestThrottleForgets(t *testing.T) {
	t.Parallel()
	throttle := tenAMinute()
	throttle.known.RecordAuthentic(stranger, start)
	worst := netip.MustParseAddr("198.51.100.7")
	fail(throttle, worst, 10, start)
	for i := range 4 * tableParts * partSize {
		throttle.Failed(numbered(i), start)
	}
	bad, good := throttle.size()
	require.LessOrEqual(t, bad, tableParts*partSize)
	require.Greater(t, bad, tableParts*partSize/2)
	require.Equal(t, 1, good)
	require.True(t, refused(throttle, worst, start), "the worst is remembered")
	require.False(t, refused(throttle, netip.MustParseAddr("192.0.2.200"), start), "the unknown is not refused")
	fail(throttle, stranger, 100, start)
	require.False(t, refused(throttle, stranger, start), "no flood makes it forget who is authentic")

	for i := range 2 * tableParts * partSize {
		throttle.known.RecordAuthentic(numbered(i), start.Add(time.Second))
	}
	_, good = throttle.size()
	require.LessOrEqual(t, good, tableParts*partSize)
}

func (t *Throttle) size() (bad, good int) {
	for i := range tableParts {
		bad += len(t.bad.parts[i].rows)
		good += len(t.known.last.parts[i].rows)
	}
	return bad, good
}

func TestThrottleConcurrently(t *testing.T) {
	t.Parallel()
	throttle := tenAMinute()
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 2000 {
				addr := numbered((i + worker) % 50)
				throttle.Refused(addr, start)
				throttle.Failed(addr, start)
				throttle.known.RecordAuthentic(numbered(i), start)
			}
		})
	}
	group.Wait()
	bad, good := throttle.size()
	require.Equal(t, 50, bad)
	require.Equal(t, 2000, good)
}

func TestThrottleAllocatesNothing(t *testing.T) { //nolint:paralleltest // it counts allocations
	throttle := tenAMinute()
	throttle.known.RecordAuthentic(stranger, start)
	throttle.Failed(stranger, start)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		throttle.Refused(stranger, start)
		throttle.known.RecordAuthentic(stranger, start)
		throttle.Failed(stranger, start)
	}))
}

func BenchmarkThrottleGood(b *testing.B) {
	throttle := tenAMinute()
	b.ReportAllocs()
	for b.Loop() {
		throttle.Refused(stranger, start)
		throttle.known.RecordAuthentic(stranger, start)
	}
}

func BenchmarkThrottleFlood(b *testing.B) {
	throttle := tenAMinute()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		addr := numbered(i)
		throttle.Refused(addr, start)
		throttle.Failed(addr, start)
	}
}

// TestThrottleBoundsARate checks that a sender that continues is admitted at the rate of the leak.
func TestThrottleBoundsARate(t *testing.T) {
	t.Parallel()
	th, let := NewThrottle(config.Throttle{Failures: 600, Per: time.Minute}, NewKnown()), 0
	for now, end := start, start.Add(10*time.Minute); now.Before(end); now = now.Add(time.Millisecond) {
		if _, no := th.Refused(stranger, now); !no {
			let++
			th.Failed(stranger, now)
		}
	}
	require.LessOrEqual(t, let, 6700)
	require.Greater(t, let, 6000)
}
