package guard

import (
	"cmp"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"mailroom/shared/config"
	"mailroom/shared/fault"
)

// inFlightRetry is what a sender waits when too many of its requests are under way.
const inFlightRetry = time.Second

// Gate decides who may send to one source, and how much. It is safe for many
// requests at once.
type Gate struct {
	name     string
	disabled bool
	allowed  []netip.Prefix
	inFlight int64
	under    atomic.Int64 // requests under way
	rate     *rate.Limiter
	leave    func()
}

// NewGate makes the gate of a source from its Disabled, AllowFrom and Limit.
func NewGate(src config.Source) (*Gate, error) {
	allowed, err := parseNetworks(src.AllowFrom)
	if err != nil {
		return nil, fmt.Errorf("source %s: allow_from: %w", src.Name, err)
	}
	g := &Gate{name: src.Name, disabled: src.Disabled, allowed: allowed, inFlight: int64(src.Limit.InFlight)}
	g.leave = func() {}
	if g.inFlight > 0 {
		g.leave = func() { g.under.Add(-1) }
	}
	if src.Limit.Rate > 0 {
		g.rate = rate.NewLimiter(rate.Limit(src.Limit.Rate), cmp.Or(src.Limit.Burst, src.Limit.Rate))
	}
	return g, nil
}

// Enter decides about a request before a byte of its body is read. A nil error
// comes with leave, which must be called once when the request is over.
func (g *Gate) Enter(addr netip.Addr) (leave func(), err error) {
	if g.disabled {
		return nil, fault.Newf(fault.SourceDisabled, "the source %s is switched off", g.name)
	}
	if len(g.allowed) > 0 && !contains(g.allowed, addr) {
		return nil, fault.New(fault.AddressRefused, "this address may not send here")
	}
	if g.inFlight > 0 && g.under.Add(1) > g.inFlight {
		g.under.Add(-1)
		return nil, fault.Newf(fault.RateLimited, "more than %d requests at the same time", g.inFlight).After(inFlightRetry)
	}
	return g.leave, nil
}

// Spend counts an authentic request against the rate. It comes after the
// signature, because otherwise anybody could use up what the provider may send.
func (g *Gate) Spend(now time.Time) error {
	if g.rate == nil || g.rate.AllowN(now, 1) {
		return nil
	}
	return fault.Newf(fault.RateLimited, "more than %d requests a second", int(g.rate.Limit())).
		After(max(Wait(g.rate, now), time.Millisecond))
}
