package access

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often logins may be tried: by one address (IPv6: one /64), and by all.
const (
	loginsPerAddress = 10 // per minute, and at once
	loginsInAll      = 20 // per second
	loginBurst       = 100
	limitedAddresses = 8192
)

// limiter puts off who tries to log in too often. It is safe for concurrent use.
type limiter struct {
	mu        sync.Mutex
	all       *rate.Limiter
	addresses map[netip.Addr]*rate.Limiter
}

func newLimiter() *limiter {
	return &limiter{all: rate.NewLimiter(loginsInAll, loginBurst), addresses: map[netip.Addr]*rate.Limiter{}}
}

// wait gives how long addr must wait before the next try, 0 where it may try now.
// An address that is put off takes nothing from the others.
func (l *limiter) wait(addr netip.Addr, now time.Time) time.Duration {
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			addr = network.Addr()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.addresses[addr]
	if own == nil {
		if len(l.addresses) >= limitedAddresses {
			l.forget(now)
		}
		own = rate.NewLimiter(rate.Every(time.Minute/loginsPerAddress), loginsPerAddress)
		l.addresses[addr] = own
	}
	for _, limit := range []*rate.Limiter{own, l.all} {
		if !limit.AllowN(now, 1) {
			missing := 1 - limit.TokensAt(now)
			return max(time.Duration(missing/float64(limit.Limit())*float64(time.Second)), time.Second)
		}
	}
	return 0
}

// forget drops who has not tried lately, and everybody where that is nobody.
func (l *limiter) forget(now time.Time) {
	for addr, limit := range l.addresses {
		if limit.TokensAt(now) >= loginsPerAddress {
			delete(l.addresses, addr)
		}
	}
	if len(l.addresses) >= limitedAddresses {
		clear(l.addresses)
	}
}
