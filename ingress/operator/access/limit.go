package access

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mailroom/ingress/guard"
)

// How many login attempts are allowed: in all, and, once half of that is used up, from
// one address (IPv6: one /64). The same limit applies to the logins of one name.
const (
	loginsPerAddress = 10 // per minute, and at once
	loginsInAll      = 20 // per second
	loginBurst       = 100
	limitedAddresses = 8192
)

var ownLogins = guard.Limit{Burst: loginsPerAddress, Every: time.Minute / loginsPerAddress, Keys: limitedAddresses}

// tried is what logins are counted by: an address, or the name that logged in.
type tried struct {
	addr netip.Addr
	name string
}

// limiter delays an address or a name that logs in too often. It is safe for
// concurrent use.
type limiter struct {
	mu  sync.Mutex
	all *rate.Limiter
	own guard.Limits[tried]
}

func newLimiter() *limiter {
	return &limiter{all: rate.NewLimiter(loginsInAll, loginBurst), own: guard.Limits[tried]{}}
}

// wait returns how long addr must wait before the next try, 0 where it may try now.
// An address that tries too often is delayed only while there are many logins as a whole,
// so that it does not lock out others behind it; its attempts then cost others nothing.
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

// waitName returns how long name must wait before it logs in again, 0 where it need not.
func (l *limiter) waitName(name string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own := l.own.Of(tried{name: name}, ownLogins, now); !own.AllowN(now, 1) {
		return secondsUntil(own, now)
	}
	return 0
}

// secondsUntil returns how long it takes until r allows one more, at least a second.
func secondsUntil(r *rate.Limiter, now time.Time) time.Duration {
	return max(guard.Wait(r, now), time.Second)
}
