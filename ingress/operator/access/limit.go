package access

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mailroom/ingress/guard"
)

// Bounds on login attempts: of all callers together, and, once half of that burst is used
// up, of one address (IPv6: one /64). One name has the same bound as one address.
const (
	loginsPerAddress = 10 // per minute, and the burst
	loginsInAll      = 20 // per second
	loginBurst       = 100
	limitedAddresses = 8192
)

var ownLogins = guard.Limit{Burst: loginsPerAddress, Every: time.Minute / loginsPerAddress, Keys: limitedAddresses}

// tried is the key that logins are counted by: an address, or the name that logged in.
type tried struct {
	addr netip.Addr
	name string
}

// limiter bounds how often an address or a name may log in. It is safe for concurrent use.
type limiter struct {
	mu  sync.Mutex
	all *rate.Limiter
	own guard.Limits[tried]
}

func newLimiter() *limiter {
	return &limiter{all: rate.NewLimiter(loginsInAll, loginBurst), own: guard.Limits[tried]{}}
}

// wait counts an attempt and returns how long addr must wait for the next, 0 if this one is
// permitted. The bound per address applies only while attempts as a whole are many, so that
// one caller does not lock out others behind the same address; a refused attempt then does
// not count against the others.
func (l *limiter) wait(addr netip.Addr, now time.Time) time.Duration {
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			addr = network.Addr()
		}
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.own.Of(tried{addr: addr}, ownLogins, now)
	if !own.AllowN(now, 1) && l.all.TokensAt(now) < loginBurst/2 {
		return secondsUntil(own, now)
	}
	if !l.all.AllowN(now, 1) {
		return secondsUntil(l.all, now)
	}
	return 0
}

// waitName counts a login of name and returns how long it must wait, 0 if it is permitted.
func (l *limiter) waitName(name string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own := l.own.Of(tried{name: name}, ownLogins, now); !own.AllowN(now, 1) {
		return secondsUntil(own, now)
	}
	return 0
}

// secondsUntil returns the time until r permits one more, at least a second.
func secondsUntil(r *rate.Limiter, now time.Time) time.Duration {
	return max(guard.Wait(r, now), time.Second)
}
