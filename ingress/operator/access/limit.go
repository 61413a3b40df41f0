package access

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often logins may be tried: by all, and, once half of that is used up, by one
// address (IPv6: one /64). A name may log in as often as an address may try.
const (
	loginsPerAddress = 10 // per minute, and at once
	loginsInAll      = 20 // per second
	loginBurst       = 100
	limitedAddresses = 8192
)

// tried is what logins are counted by: an address, or the name that logged in.
type tried struct {
	addr netip.Addr
	name string
}

// limiter puts off who tries to log in too often. It is safe for concurrent use.
type limiter struct {
	mu  sync.Mutex
	all *rate.Limiter
	own map[tried]*rate.Limiter
}

func newLimiter() *limiter {
	return &limiter{all: rate.NewLimiter(loginsInAll, loginBurst), own: map[tried]*rate.Limiter{}}
}

// wait returns how long addr must wait before the next try, 0 where it may try now.
// An address that tries too often is put off only while logins as a whole are many,
// so that it does not lock out others behind it, and then takes nothing from others.
func (l *limiter) wait(addr netip.Addr, now time.Time) time.Duration {
	if addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			addr = network.Addr()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.of(tried{addr: addr}, now)
	if !own.AllowN(now, 1) && l.all.TokensAt(now) < loginBurst/2 {
		return missing(own, now)
	}
	if !l.all.AllowN(now, 1) {
		return missing(l.all, now)
	}
	return 0
}

// waitName returns how long name must wait before it logs in again, 0 where it need not.
func (l *limiter) waitName(name string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own := l.of(tried{name: name}, now); !own.AllowN(now, 1) {
		return missing(own, now)
	}
	return 0
}

func (l *limiter) of(key tried, now time.Time) *rate.Limiter {
	own := l.own[key]
	if own == nil {
		if len(l.own) >= limitedAddresses {
			l.forget(now)
		}
		own = rate.NewLimiter(rate.Every(time.Minute/loginsPerAddress), loginsPerAddress)
		l.own[key] = own
	}
	return own
}

// missing is how long it takes until limit has one more to give, at least a second.
func missing(limit *rate.Limiter, now time.Time) time.Duration {
	lacks := 1 - limit.TokensAt(now)
	return max(time.Duration(lacks/float64(limit.Limit())*float64(time.Second)), time.Second)
}

// forget drops who has not tried lately, and everybody where that is nobody.
func (l *limiter) forget(now time.Time) {
	for key, limit := range l.own {
		if limit.TokensAt(now) >= loginsPerAddress {
			delete(l.own, key)
		}
	}
	if len(l.own) >= limitedAddresses {
		clear(l.own)
	}
}
