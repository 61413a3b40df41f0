package guard

import (
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// undeclaredEvery is the least time between two log lines about undeclared proxies.
const undeclaredEvery = 10 * time.Minute

// Undeclared detects a reverse proxy on this machine that ingress.trusted_proxies does
// not name. Every request through it seems to come from this machine, so limits per
// address do not apply. It is safe for concurrent use.
type Undeclared struct {
	proxies *Proxies
	logger  *slog.Logger
	now     func() time.Time
	total   atomic.Uint64

	mu     sync.Mutex
	logged time.Time
}

// NewUndeclared returns an Undeclared that logs to logger and reads the time from now.
// It does nothing if proxies names at least one network.
func NewUndeclared(proxies *Proxies, logger *slog.Logger, now func() time.Time) *Undeclared {
	return &Undeclared{proxies: proxies, logger: logger, now: now}
}

// Total returns how many requests came through an undeclared proxy.
func (u *Undeclared) Total() uint64 { return u.total.Load() }

// CheckRequest counts a request that comes from loopback with X-Forwarded-For while no
// proxy is declared, and logs at most one in ten minutes, without the header's value.
func (u *Undeclared) CheckRequest(r *http.Request) {
	if len(u.proxies.networks) > 0 || len(r.Header["X-Forwarded-For"]) == 0 || !peer(r).IsLoopback() {
		return
	}
	u.total.Add(1)

	now := u.now()
	u.mu.Lock()
	due := u.logged.IsZero() || now.Sub(u.logged) >= undeclaredEvery
	if due {
		u.logged = now
	}
	u.mu.Unlock()

	if due {
		u.logger.Warn("ingress.undeclared_proxy", slog.Uint64("requests", u.Total()), slog.String("detail",
			"requests come from this machine with X-Forwarded-For, as from a reverse proxy, but ingress.trusted_proxies is empty: "+
				"all senders behind it count as one local address, and limits per address do not hold. "+
				"List the proxy's address there, such as 127.0.0.1"))
	}
}
