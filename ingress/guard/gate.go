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

// inFlightRetry is the Retry-After while too many requests of a source are under way.
const inFlightRetry = time.Second

// Gate decides which addresses may send to one source, and how much. It is safe for
// concurrent use.
type Gate struct {
	name     string
	disabled bool
	allowed  []netip.Prefix
	inFlight int64
	under    atomic.Int64 // requests under way; not counted without a bound
	rate     *rate.Limiter
	leave    func()
}

// NewGate returns the gate of a source, configured by its Disabled, AllowFrom and Limit.
// It returns an error that names the source if AllowFrom holds neither a network nor an
// address.
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

// Enter decides about a request from addr before a byte of its body is read. If err is
// nil the caller must call leave exactly once when the request is over; else err is a
// fault of code source_disabled, address_refused or rate_limited.
func (g *Gate) Enter(addr netip.Addr) (leave func(), err error) {
	if g.disabled {
		return nil, fault.Newf(fault.SourceDisabled, "nothing was accepted, because the source %s is disabled; ask the operator of this Mailroom to enable it", g.name)
	}
	if len(g.allowed) > 0 && !contains(g.allowed, addr) {
		return nil, fault.New(fault.AddressRefused, "nothing was accepted, because this address may not send to this source; ask the operator of this Mailroom to allow it")
	}
	if g.inFlight > 0 && g.under.Add(1) > g.inFlight {
		g.under.Add(-1)
		return nil, fault.Newf(fault.RateLimited, "nothing was accepted, because more than %d requests of this source are under way; send it again later", g.inFlight).After(inFlightRetry)
	}
	return g.leave, nil
}

// Spend counts an authentic request against the source's rate. It returns nil, or a
// fault of code rate_limited with the time until the next request is admitted; a refused
// request is not counted. Call it after the signature is verified: otherwise any sender
// could use up the provider's rate.
func (g *Gate) Spend(now time.Time) error {
	if g.rate == nil || g.rate.AllowN(now, 1) {
		return nil
	}
	return fault.Newf(fault.RateLimited, "nothing was accepted, because this source has sent more than %d requests a second; send it again later", int(g.rate.Limit())).
		After(max(Wait(g.rate, now), time.Millisecond))
}
