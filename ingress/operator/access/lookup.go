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

// Bounds of the questions to the database about tokens and sessions. An address that
// has sent badTokens that do not exist is delayed: its lookups wait in a queue of their
// own, one at a time. A valid token behind the same address still works, because the
// lookup comes first.
const (
	badTokens    = 60
	badTokensPer = time.Minute

	trustedPlaces = 2
	lookupWait    = 2 * time.Second
	seenFor       = 24 * time.Hour
	seenRows      = 4096
)

// lookups bounds how many questions are asked at a time, and by which address. It
// is safe for concurrent use.
type lookups struct {
	proxies  *guard.Proxies
	throttle *guard.Throttle
	// Places: of tokens and sessions that were valid within a day, of others, and of
	// others from an address that is delayed.
	trusted, open, putOff chan struct{}

	mu   sync.Mutex
	seen map[[32]byte]time.Time // when it was last found
}

func newLookups(proxies *guard.Proxies) *lookups {
	return &lookups{
		proxies: proxies, throttle: guard.NewThrottle(config.Throttle{Failures: badTokens, Per: badTokensPer}, nil),
		trusted: make(chan struct{}, trustedPlaces), open: make(chan struct{}, 1), putOff: make(chan struct{}, 1),
		seen: map[[32]byte]time.Time{},
	}
}

// ask calls find, which looks for what has the hash sum, once there is a place for
// it. It returns what find returns; fault.RateLimited where find finds nothing and
// r's address has tried too much; fault.Overloaded where no place becomes free.
func (l *lookups) ask(r *http.Request, sum [32]byte, now time.Time, find func(context.Context) error) error {
	client := l.proxies.Client(r)
	wait, refused := l.throttle.Refused(client, now)
	places := l.open
	switch {
	case l.sawLately(sum, now):
		places = l.trusted
	case refused:
		places = l.putOff
	}

	ctx, cancel := context.WithTimeout(r.Context(), lookupWait)
	defer cancel()
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-ctx.Done():
		return fault.New(fault.Overloaded, "too many tokens are being looked up at the moment").After(lookupWait)
	}

	err := find(r.Context())
	switch {
	case err == nil:
		l.recordFound(sum, now)
	case fault.Is(err, fault.NotFound):
		l.throttle.Failed(client, now)
		if refused {
			return tooMany(wait)
		}
	}
	return err
}

func (l *lookups) sawLately(sum [32]byte, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.seen[sum]
	return ok && now.Sub(at) < seenFor
}

// recordFound remembers that sum was found. Only what exists is recorded, so that unknown
// clients cannot displace it.
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
