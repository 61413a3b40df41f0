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
	of tally // requests under way
}

// NewCrowd makes one that trusts whom the others trust.
func NewCrowd(throttle *Throttle, proxies *Proxies) *Crowd {
	return &Crowd{throttle: throttle, proxies: proxies, of: tally{}}
}

// Enter takes a place for a request from addr. leave must be called once, where ok.
func (c *Crowd) Enter(addr netip.Addr, now time.Time) (leave func(), ok bool) {
	if c.proxies.exempt(addr) || c.throttle.Knows(addr, now) {
		return func() {}, true
	}
	key := keyOf(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.of.take(key, MaxStrangers) {
		return nil, false
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.of.give(key)
	}, true
}
