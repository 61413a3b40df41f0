package guard

import (
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// undeclaredEvery is how often an undeclared proxy is told of in the log.
const undeclaredEvery = 10 * time.Minute

// Undeclared notices a reverse proxy on this machine that ingress.trusted_proxies
// does not name: everything behind it looks as if it came from this machine, so that
// no bound of one address holds. It is safe for many requests at once.
type Undeclared struct {
	proxies *Proxies
	logger  *slog.Logger
	now     func() time.Time
	total   atomic.Uint64

	mu   sync.Mutex
	told time.Time
}

// NewUndeclared returns one that has noticed nothing. It looks at nothing where
// proxies are declared.
func NewUndeclared(proxies *Proxies, logger *slog.Logger, now func() time.Time) *Undeclared {
	return &Undeclared{proxies: proxies, logger: logger, now: now}
}

// Total is how many requests came through such a proxy.
func (u *Undeclared) Total() uint64 { return u.total.Load() }

// Note looks at one request: from loopback, with X-Forwarded-For, while no proxy is
// declared. It logs one of them in ten minutes, without what its header says.
func (u *Undeclared) Note(r *http.Request) {
	if len(u.proxies.networks) > 0 || len(r.Header["X-Forwarded-For"]) == 0 || !peer(r).IsLoopback() {
		return
	}
	u.total.Add(1)
	now := u.now()
	u.mu.Lock()
	tell := u.told.IsZero() || now.Sub(u.told) >= undeclaredEvery
	if tell {
		u.told = now
	}
	u.mu.Unlock()
	if tell {
		u.logger.Warn("ingress.undeclared_proxy", slog.Uint64("requests", u.Total()), slog.String("detail",
			"requests come from this machine with X-Forwarded-For, as from a reverse proxy, but ingress.trusted_proxies is empty: "+
				"all senders behind it count as one local address, and limits per address do not hold. "+
				"List the proxy's address there, such as 127.0.0.1"))
	}
}
