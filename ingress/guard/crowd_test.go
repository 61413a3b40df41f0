package guard

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crowdAt is a Crowd whose pools have 16 places each, at most 4 of them for one stranger.
type crowdAt struct {
	*Crowd

	known *Known
	now   time.Time
}

func newCrowd(t testing.TB) *crowdAt {
	t.Helper()
	c := &crowdAt{known: NewKnown(), now: start}
	shares := map[Pool]Share{}
	for p := range poolCount {
		shares[p] = Half(16, 4)
	}
	var err error
	c.Crowd, err = NewCrowd(c.known, openProxies(t, "10.0.0.0/8"), shares, func() time.Time { return c.now })
	require.NoError(t, err)
	return c
}

// enter calls Enter for addr until it is refused, at most 100 times.
func (c *crowdAt) enter(addr netip.Addr) (visits []*Visit) {
	for range 100 {
		v, ok := c.Enter(addr, false)
		if !ok {
			break
		}
		visits = append(visits, v)
	}
	return visits
}

func (c *crowdAt) requireEmpty(t testing.TB) {
	t.Helper()
	for p := range poolCount {
		all, strangers := c.Held(p)
		require.Zero(t, all, "%v", p)
		require.Zero(t, strangers, "%v", p)
		require.Empty(t, c.pools[p].holders, "%v", p)
	}
}

func leave(visits []*Visit) {
	for _, v := range visits {
		v.Leave()
		v.Leave()
	}
}

// TestOneStrangerDoesNotFillTheIngress checks that its places are bounded and others keep theirs.
func TestOneStrangerDoesNotFillTheIngress(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	held := c.enter(stranger)
	require.Len(t, held, 4)
	other, ok := c.Enter(numbered(1), false)
	require.True(t, ok)
	for _, p := range []Pool{Buffers, Files, Spool} {
		for range 4 {
			require.True(t, held[0].Acquire(p, 1))
		}
		require.False(t, held[1].Acquire(p, 1), "%v", p)
		require.True(t, other.Acquire(p, 1), "%v", p)
	}
	leave(append(held, other))
	c.requireEmpty(t)
}

// TestStrangersDoNotTakeTheReservedHalf checks that any number of strangers leave half a
// pool free, and that a known address can use it at once.
func TestStrangersDoNotTakeTheReservedHalf(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	var strangers []*Visit
	for i := range 100 {
		strangers = append(strangers, c.enter(numbered(i))...)
	}
	all, of := c.Held(Places)
	require.Equal(t, int64(8), of)
	require.LessOrEqual(t, all, int64(8+16/leavingPart), "what displaced ones still hold is bounded")
	c.known.RecordAuthentic(stranger, c.now)
	require.Len(t, c.enter(stranger), 6, "not all that is free")
	c.known.RecordAuthentic(numbered(1000), c.now)
	require.Len(t, c.enter(numbered(1000)), 1, "a known address that holds much leaves something to others")
	_ = strangers
}

// TestStrangersBySubscriber checks that a whole IPv6 /64 is one stranger.
func TestStrangersBySubscriber(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	for i := range 10 {
		_, ok := c.Enter(netip.MustParseAddr(fmt.Sprintf("2001:db8:1:2::%x", i+1)), false)
		require.Equal(t, i < 4, ok)
	}
	_, ok := c.Enter(netip.MustParseAddr("2001:db8:1:3::1"), false)
	require.True(t, ok)
	c.known.RecordAuthentic(netip.MustParseAddr("2001:db8:1:2:ffff::9"), c.now)
	_, ok = c.Enter(netip.MustParseAddr("2001:db8:1:2::99"), false)
	require.True(t, ok, "known by its /64 as well")
}

// TestNewcomersGetTheirShareAfterARestart starts without known addresses: a few addresses
// hold all that strangers may have, and another arrives. It gets as much as each of them,
// proves to be authentic, and is no longer bounded as a stranger.
func TestNewcomersGetTheirShareAfterARestart(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	hostile := append(c.enter(numbered(1)), c.enter(numbered(2))...)
	require.Len(t, hostile, 8)
	cut := 0
	for _, v := range hostile {
		v.OnDisplaced(func() { cut++ })
	}
	hostile[0].AddReceived(1 << 20)
	c.now = c.now.Add(time.Second)

	first, ok := c.Enter(stranger, false)
	require.True(t, ok)
	second, ok := c.Enter(stranger, false)
	require.True(t, ok)
	require.Equal(t, 2, cut)
	require.False(t, hostile[0].Displaced(), "the slower ones are displaced")
	_, ok = c.Enter(stranger, false)
	require.False(t, ok, "no more than the others hold, and than displaced ones may still hold")
	all, strangers := c.Held(Places)
	require.Equal(t, []int64{10, 8}, []int64{all, strangers})

	first.MarkAuthentic()
	_, strangers = c.Held(Places)
	require.Equal(t, int64(6), strangers, "both count as known now")
	third, ok := c.Enter(stranger, false)
	require.True(t, ok)
	leave(append(hostile, first, second, third))
	c.requireEmpty(t)
	require.Equal(t, uint64(2), c.Displaced(Places))
}

// TestSlowStrangersGiveWay fills the pool with many addresses that hold one slow request each.
func TestSlowStrangersGiveWay(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	var held []*Visit
	for i := range 8 {
		v, ok := c.Enter(numbered(i), false)
		require.True(t, ok)
		held = append(held, v)
	}

	_, ok := c.Enter(stranger, false)
	require.False(t, ok, "they have only just come")
	c.now = c.now.Add(slowAfter)
	for _, v := range held[1:] {
		v.AddReceived(slowRate * int(slowAfter/time.Second))
	}

	v, ok := c.Enter(stranger, false)
	require.True(t, ok)
	require.True(t, held[0].Displaced())
	require.False(t, held[0].Acquire(Places, 1), "it gets nothing in that pool any more")
	_, ok = c.Enter(numbered(99), false)
	require.False(t, ok, "none of the others is slow")
	leave(append(held, v))
	c.requireEmpty(t)
}

// TestKnownAreNotDisplaced checks requests that began before and after the address became known.
func TestKnownAreNotDisplaced(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	held := c.enter(stranger)
	held[0].MarkAuthentic()
	c.now = c.now.Add(time.Hour)
	for i := range 3 {
		c.enter(numbered(i))
	}
	for _, v := range held {
		require.False(t, v.Displaced())
	}
	c.now = c.now.Add(goodFor)
	_, ok := c.Enter(stranger, false)
	require.False(t, ok, "after a day it is a stranger again, with four places held")
}

// TestLocalAndProxies checks that this machine's own requests are not bounded, and that
// requests through an undeclared proxy on this machine, or through a proxy that names no
// client, count as strangers' until one is authentic.
func TestLocalAndProxies(t *testing.T) {
	t.Parallel()
	loopback := netip.MustParseAddr("127.0.0.1")
	c := newCrowd(t)
	require.Len(t, c.enter(loopback), 16)
	for _, addr := range []netip.Addr{netip.MustParseAddr("10.1.2.3"), {}} {
		c := newCrowd(t)
		held := c.enter(addr)
		require.Len(t, held, 8, "%v", addr)
		held[0].MarkAuthentic()
		require.Len(t, c.enter(addr), 8, "%v", addr)
	}

	c = newCrowd(t)
	local, ok := c.Enter(loopback, false)
	require.True(t, ok)
	local.MarkAuthentic()
	var through []*Visit
	for {
		v, ok := c.Enter(loopback, true)
		if !ok {
			break
		}
		through = append(through, v)
	}

	require.Len(t, through, 8, "the machine's own requests prove nothing for them")
}

// TestCrowdForgets checks that no table has an entry of an address that holds nothing,
// whatever the order of calls.
func TestCrowdForgets(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 3000 {
				v, _ := c.Enter(numbered(r.IntN(12)), r.IntN(3) == 0)
				v.OnDisplaced(func() {})
				for range 4 {
					p := Pool(r.IntN(int(poolCount)))
					if r.IntN(4) > 0 {
						v.Acquire(p, int64(1+r.IntN(2)))
					} else {
						v.Release(p, 1)
					}
				}
				if r.IntN(50) == 0 {
					v.MarkAuthentic()
				}
				v.Leave()
			}
		})
	}

	group.Wait()
	c.requireEmpty(t)
	for p := range poolCount {
		require.Zero(t, c.pools[p].leaving)
		require.Zero(t, c.pools[p].used)
	}
}

func TestCrowdIsChecked(t *testing.T) {
	t.Parallel()
	_, err := NewCrowd(nil, nil, nil, nil)
	require.ErrorContains(t, err, "required")
}

func BenchmarkCrowd(b *testing.B) {
	c := newCrowd(b)
	c.known.RecordAuthentic(stranger, c.now)
	b.ReportAllocs()
	for b.Loop() {
		v, _ := c.Enter(stranger, false)
		v.MarkAuthentic()
		v.Leave()
	}
}
