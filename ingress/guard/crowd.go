package guard

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// MaxStrangers is how many requests one address may have under way before any of them
// has proved to be authentic.
const MaxStrangers = 64

// undeclared is the first byte of the key of requests from loopback with
// X-Forwarded-For, which come through an undeclared proxy on this machine. No client's
// address begins with it.
const undeclared = 0xff

// Crowd divides requests, buffers, spool files and connections between client addresses
// (IPv6: between /64 networks). An address is known for a day after an authentic
// request; any other address is a stranger.
//
//   - One stranger holds at most Share.Stranger, and all strangers together hold
//     at most Share.Strangers: the rest is reserved for known addresses.
//   - One known address cannot use up a pool either: see Share.Known.
//   - While the strangers' part is full, a newcomer displaces a visit of the stranger
//     that holds the most, or a slow one. An ingress that has just started, and knows
//     no address, therefore still serves addresses that hold little and send fast.
//
// Loopback, declared proxies and connections without an address have no bound of their
// own, because many senders may share them. Their requests count as strangers' until
// one is authentic; requests from loopback without X-Forwarded-For count as known.
//
// Memory is bounded by the sizes of the pools and of Known. A Crowd is safe for
// concurrent use.
type Crowd struct {
	known   *Known
	proxies *Proxies
	now     func() time.Time

	mu    sync.Mutex
	pools [poolCount]pool
}

// NewCrowd returns a Crowd with one pool per entry of shares; a pool without an entry is
// always full. known and proxies are required; a nil now is time.Now.
func NewCrowd(known *Known, proxies *Proxies, shares map[Pool]Share, now func() time.Time) (*Crowd, error) {
	if known == nil || proxies == nil {
		return nil, errors.New("crowd: known addresses and proxies are required")
	}
	if now == nil {
		now = time.Now
	}
	c := &Crowd{known: known, proxies: proxies, now: now}
	for i := range c.pools {
		c.pools[i] = pool{share: shares[Pool(i)], holders: map[addressKey]*holder{}}
	}
	return c, nil
}

// Enter acquires a place for a request from addr and returns its visit; forwarded says
// that the request has an X-Forwarded-For header. If ok is true the caller must call
// Visit.Leave; if it is false there is no place, and the visit holds nothing.
func (c *Crowd) Enter(addr netip.Addr, forwarded bool) (v *Visit, ok bool) {
	v = c.visit(addr)
	if addr.IsLoopback() && forwarded {
		v.key[0] = undeclared
	}
	v.known = (addr.IsLoopback() && !forwarded) || c.known.has(v.key, v.began.UnixNano())
	return v, c.admit(v, Places)
}

// connect acquires a place for a connection from addr. cut closes the connection when
// the visit is displaced, and must not block.
func (c *Crowd) connect(addr netip.Addr, cut func()) (v *Visit, ok bool) {
	v = c.visit(addr)
	v.cut = cut
	v.known = v.many || c.known.has(v.key, v.began.UnixNano())
	return v, c.admit(v, Connections)
}

// visit returns a visit from addr that holds nothing yet.
func (c *Crowd) visit(addr netip.Addr) *Visit {
	return &Visit{crowd: c, key: keyOf(addr), many: c.proxies.exempt(addr), began: c.now()}
}

// admit acquires the first thing that v needs, and reports whether it could. If v's
// address has become known, all that it holds stops counting as a stranger's.
func (c *Crowd) admit(v *Visit, first Pool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v.known {
		c.markKnown(v.key)
	}
	return c.pools[first].acquire(first, v, 1, v.began)
}

// markKnown counts all that key holds as a known address's.
func (c *Crowd) markKnown(key addressKey) {
	for i := range c.pools {
		c.pools[i].markKnown(key)
	}
}

// Held returns how much of pool p is in use, in its unit, and how much of that is held
// by strangers.
func (c *Crowd) Held(p Pool) (all, strangers int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pools[p].used + c.pools[p].leaving, c.pools[p].strangers
}

// Displaced returns how many visits have been displaced because pool p was full.
func (c *Crowd) Displaced(p Pool) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pools[p].displaced
}

// Visit is one request or connection and what it holds. Its methods are safe for
// concurrent use.
type Visit struct {
	crowd *Crowd
	key   addressKey
	many  bool // more than one sender may stand behind the address
	began time.Time

	received  atomic.Int64 // bytes
	displaced atomic.Bool

	// The Crowd's mutex protects the fields below.
	known bool
	cut   func()
	in    [poolCount]membership
}

// Acquire acquires n units of pool p and reports whether it could. A request that was
// displaced acquires nothing more of the pool that it was displaced from.
func (v *Visit) Acquire(p Pool, n int64) bool {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	return v.crowd.pools[p].acquire(p, v, n, v.crowd.now())
}

// Release returns n units to pool p, or all that v holds of it if that is less.
func (v *Visit) Release(p Pool, n int64) {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	v.crowd.pools[p].release(p, v, n)
}

// Leave releases everything that v holds. It may be called more than once.
func (v *Visit) Leave() {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	v.cut = nil
	for i := range v.crowd.pools {
		v.crowd.pools[i].release(Pool(i), v, v.in[i].held)
	}
}

// MarkAuthentic records that v's request is authentic: its address is known for a day
// from now on, and v can no longer be displaced.
func (v *Visit) MarkAuthentic() {
	c := v.crowd
	c.known.recordAuthentic(v.key, c.now())
	c.mu.Lock()
	defer c.mu.Unlock()
	v.known, v.cut = true, nil
	c.markKnown(v.key)
}

// AddReceived counts n bytes that were received from the client.
func (v *Visit) AddReceived(n int) { v.received.Add(int64(n)) }

// Displaced reports whether v has lost its place to another stranger.
func (v *Visit) Displaced() bool { return v.displaced.Load() }

// OnDisplaced sets the function that stops the reading of v's request when v is
// displaced. cut can be called at any time until Leave or MarkAuthentic, and must not
// block.
func (v *Visit) OnDisplaced(cut func()) {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	v.cut = cut
}

// displace marks v as displaced and calls its cut. The caller holds the Crowd's mutex.
func (v *Visit) displace() {
	v.displaced.Store(true)
	if v.cut != nil {
		v.cut()
	}
}

// rate returns how many bytes a second v has received since it began.
func (v *Visit) rate(now time.Time) int64 {
	return v.received.Load() * int64(time.Second) / max(int64(now.Sub(v.began)), int64(time.Millisecond))
}

// slow reports whether v has been under way for slowAfter at less than slowRate.
func (v *Visit) slow(now time.Time) bool {
	return now.Sub(v.began) >= slowAfter && v.rate(now) < slowRate
}

// exempt reports whether addr has no bound of its own: many senders can share loopback
// and declared proxies, and a missing address identifies no sender.
func (p *Proxies) exempt(addr netip.Addr) bool {
	return !addr.IsValid() || addr.IsLoopback() || p.Trusts(addr)
}
