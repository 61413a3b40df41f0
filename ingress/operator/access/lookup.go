package access

import (
	"context"
	"net/http"
	"sync"
	"time"

	"mailroom/ingress/guard"
	"mailroom/shared/config"
	"mailroom/shared/fault"
)

// Bounds on database queries for tokens and sessions. The queries of an address that has
// sent badTokens unknown ones wait in a queue of their own, one at a time. A valid token
// from the same address still works, because the query precedes the refusal.
const (
	badTokens    = 60
	badTokensPer = time.Minute

	trustedPlaces = 2               // concurrent queries for values found within seenFor
	lookupWait    = 2 * time.Second // the longest wait for a place
	seenFor       = 24 * time.Hour
	seenRows      = 4096
)

// lookups bounds how many queries run concurrently, and for which addresses. It is safe
// for concurrent use.
type lookups struct {
	proxies  *guard.Proxies
	throttle *guard.Throttle
	// Places for queries: trusted for values found within seenFor, open for others,
	// throttled for others from an address that has sent too many unknown ones.
	trusted, open, throttled chan struct{}

	mu   sync.Mutex
	seen map[[32]byte]time.Time // when it was last found
}

func newLookups(proxies *guard.Proxies) *lookups {
	return &lookups{
		proxies: proxies, throttle: guard.NewThrottle(config.Throttle{Failures: badTokens, Per: badTokensPer}, nil),
		trusted: make(chan struct{}, trustedPlaces), open: make(chan struct{}, 1), throttled: make(chan struct{}, 1),
		seen: map[[32]byte]time.Time{},
	}
}

// query waits for a place and calls find, which looks up the token or session with the
// SHA-256 sum. It returns the error of find; a fault of code rate_limited if find returns
// not_found and r's address has sent too many unknown values; overloaded if no place
// becomes free within 2 s.
func (l *lookups) query(r *http.Request, sum [32]byte, now time.Time, find func(context.Context) error) error {
	client := l.proxies.Client(r)
	wait, refused := l.throttle.Refused(client, now)
	places := l.open
	switch {
	case l.foundLately(sum, now):
		places = l.trusted
	case refused:
		places = l.throttled
	}

	ctx, cancel := context.WithTimeout(r.Context(), lookupWait)
	defer cancel()
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-ctx.Done():
		return fault.New(fault.Overloaded, "too many tokens are being checked at the moment; try again").After(lookupWait)
	}

	err := find(r.Context())
	switch {
	case err == nil:
		l.recordFound(sum, now)
	case fault.Is(err, fault.NotFound):
		l.throttle.Failed(client, now)
		if refused {
			return tooManyAttempts(wait)
		}
	}
	return err
}

// foundLately reports whether sum was found within seenFor.
func (l *lookups) foundLately(sum [32]byte, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.seen[sum]
	return ok && now.Sub(at) < seenFor
}

// recordFound stores that sum was found at now. Only values that exist are stored, so no
// stranger can displace an entry.
func (l *lookups) recordFound(sum [32]byte, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.seen[sum]; !known && len(l.seen) >= seenRows {
		for other := range l.seen {
			delete(l.seen, other)
			break
		}
	}
	l.seen[sum] = now
}
