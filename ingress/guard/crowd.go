package guard

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// MaxStrangers is how many requests of one address may be under way before any of
// them has proved to be authentic.
const MaxStrangers = 64

// undeclared marks the key of what comes from loopback with X-Forwarded-For: a proxy
// on this machine that is not declared. No client's address begins with it.
const undeclared = 0xff

// Crowd shares out requests, buffers, spool files and connections by address (IPv6:
// by /64). An address from which an authentic request came within a day is known;
// every other is a stranger.
//
//   - One stranger holds at most its own share, and all strangers together hold
//     at most Share.Strangers: the rest is reserved for known addresses.
//   - A known address leaves something for others too.
//   - Between strangers places are shared evenly: while none is free, a newcomer
//     displaces a visit of the address that holds the most, or one that is slow. So
//     an ingress that has just started, to which every address is strange, still
//     serves those that hold little and send fast.
//
// Connections from loopback, declared proxies and addresses that are not known to
// the system are not bounded per address, because many senders may stand behind
// them; nor are their requests, which count as strangers' until one is authentic.
// Requests from loopback without X-Forwarded-For count as known.
//
// What it remembers is bounded by the sizes of the pools and of Known.
type Crowd struct {
	known   *Known
	proxies *Proxies
	now     func() time.Time

	mu    sync.Mutex
	pools [poolCount]pool
}

// NewCrowd returns a crowd that shares out what shares says; a pool without a share
// has nothing to give. A nil now is time.Now.
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

// Enter takes a place for a request from addr; forwarded says that the request
// carries X-Forwarded-For. Where ok, the visit must be left.
func (c *Crowd) Enter(addr netip.Addr, forwarded bool) (v *Visit, ok bool) {
	v = c.visit(addr)
	if addr.IsLoopback() && forwarded {
		v.key[0] = undeclared
	}
	v.known = (addr.IsLoopback() && !forwarded) || c.known.has(v.key, v.began.UnixNano())
	return v, c.admit(v, Places)
}

// connect takes a place for a connection from addr; cut ends the connection and
// must not wait for anything.
func (c *Crowd) connect(addr netip.Addr, cut func()) (v *Visit, ok bool) {
	v = c.visit(addr)
	v.cut = cut
	v.known = v.many || c.known.has(v.key, v.began.UnixNano())
	return v, c.admit(v, Connections)
}

// visit returns a visit from addr that holds nothing.
func (c *Crowd) visit(addr netip.Addr) *Visit {
	return &Visit{crowd: c, key: keyOf(addr), many: c.proxies.exempt(addr), began: c.now()}
}

// admit takes the first thing that v needs. What an address holds that has become
// known meanwhile no longer counts as a stranger's.
func (c *Crowd) admit(v *Visit, first Pool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v.known {
		c.prove(v.key)
	}
	return c.pools[first].take(first, v, 1, v.began)
}

func (c *Crowd) prove(key addressKey) {
	for i := range c.pools {
		c.pools[i].prove(key)
	}
}

// Held returns how much of a pool is in use, and how much of that by strangers.
func (c *Crowd) Held(p Pool) (all, strangers int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pools[p].used + c.pools[p].leaving, c.pools[p].strangers
}

// Displaced returns how many visits had to leave because of pool p.
func (c *Crowd) Displaced(p Pool) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pools[p].displaced
}

// Visit is one request or connection and what it holds. Its methods are safe for
// use side by side.
type Visit struct {
	crowd *Crowd
	key   addressKey
	many  bool
	began time.Time

	moved atomic.Int64 // bytes received
	away  atomic.Bool  // displaced

	// The Crowd's mutex protects what follows.
	known bool
	cut   func()
	in    [poolCount]membership
}

// Take takes n of a pool, and reports whether it could.
func (v *Visit) Take(p Pool, n int64) bool {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	return v.crowd.pools[p].take(p, v, n, v.crowd.now())
}

// Give returns n of a pool, at most what v holds.
func (v *Visit) Give(p Pool, n int64) {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	v.crowd.pools[p].give(p, v, n)
}

// Leave returns everything that v holds. It may be called again.
func (v *Visit) Leave() {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	v.cut = nil
	for i := range v.crowd.pools {
		v.crowd.pools[i].give(Pool(i), v, v.in[i].held)
	}
}

// Prove records that v's request is authentic: its address is known from now on,
// and v is not displaced any more.
func (v *Visit) Prove() {
	c := v.crowd
	c.known.note(v.key, c.now())
	c.mu.Lock()
	defer c.mu.Unlock()
	v.known, v.cut = true, nil
	c.prove(v.key)
}

// Moved counts n bytes that were received.
func (v *Visit) Moved(n int) { v.moved.Add(int64(n)) }

// Displaced reports whether v had to give its place to another stranger.
func (v *Visit) Displaced() bool { return v.away.Load() }

// OnDisplaced sets what ends the reading of v's request when v is displaced. cut may
// be called at any time until Leave or Prove, and must not wait for anything.
func (v *Visit) OnDisplaced(cut func()) {
	v.crowd.mu.Lock()
	defer v.crowd.mu.Unlock()
	v.cut = cut
}

// displace ends v. The Crowd's mutex is held.
func (v *Visit) displace() {
	v.away.Store(true)
	if v.cut != nil {
		v.cut()
	}
}

// rate returns how many bytes a second v has moved since it began.
func (v *Visit) rate(now time.Time) int64 {
	return v.moved.Load() * int64(time.Second) / max(int64(now.Sub(v.began)), int64(time.Millisecond))
}

func (v *Visit) slow(now time.Time) bool {
	return now.Sub(v.began) >= slowAfter && v.rate(now) < slowRate
}

// exempt reports whether addr is not bounded by itself: behind loopback and declared
// proxies there are many, and of the unknown address nothing can be said.
func (p *Proxies) exempt(addr netip.Addr) bool {
	return !addr.IsValid() || addr.IsLoopback() || p.Trusts(addr)
}
