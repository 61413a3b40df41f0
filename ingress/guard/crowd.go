package guard

import (
	"net/netip"
	"sync"
	"time"
)

// MaxStrangers is how many requests of one address may be under way before any of
// them has proved to be authentic.
const MaxStrangers = 64

// Crowd bounds the requests under way of addresses that have not proved anything
// lately, so that one stranger cannot take every place of the door. Loopback,
// declared proxies, and addresses that the throttle knows as good are not bounded.
type Crowd struct {
	throttle *Throttle
	proxies  *Proxies

	mu sync.Mutex
	of map[addressKey]int // requests under way; none of nobody
}

// NewCrowd makes one that trusts whom the others trust.
func NewCrowd(throttle *Throttle, proxies *Proxies) *Crowd {
	return &Crowd{throttle: throttle, proxies: proxies, of: map[addressKey]int{}}
}

// Enter takes a place for a request from addr. leave must be called once, where ok.
func (c *Crowd) Enter(addr netip.Addr, now time.Time) (leave func(), ok bool) {
	if !addr.IsValid() || addr.IsLoopback() || c.proxies.Trusts(addr) || c.throttle.Knows(addr, now) {
		return func() {}, true
	}
	key := keyOf(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[key] >= MaxStrangers {
		return nil, false
	}
	c.of[key]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.of[key]--; c.of[key] == 0 {
			delete(c.of, key)
		}
	}, true
}

// Knows reports whether an authentic request came from addr lately.
func (t *Throttle) Knows(addr netip.Addr, now time.Time) bool {
	key, part := t.find(addr)
	if part == nil {
		return false
	}
	part.mu.Lock()
	defer part.mu.Unlock()
	return recent(part.good[key], now.UnixNano())
}
