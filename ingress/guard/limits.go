package guard

import (
	"time"

	"golang.org/x/time/rate"
)

// Limit is how often something may be done under one key: a token bucket, and how many
// such buckets are kept.
type Limit struct {
	Burst int           // size of the bucket
	Every time.Duration // the time in which one token is added
	Keys  int           // keys remembered
}

// Limits holds one rate limiter per key. It is not safe for concurrent use.
type Limits[K comparable] map[K]*rate.Limiter

// Of returns the limiter of key, and creates a full one for a new key. When limit.Keys
// are remembered already, a new key removes all limiters that are full again, or every
// limiter if none is.
func (l Limits[K]) Of(key K, limit Limit, now time.Time) *rate.Limiter {
	own := l[key]
	if own == nil {
		if len(l) >= limit.Keys {
			l.forget(limit.Keys, now)
		}
		own = rate.NewLimiter(rate.Every(limit.Every), limit.Burst)
		l[key] = own
	}
	return own
}

// forget removes the limiters that are full, or all if most or more are left.
func (l Limits[K]) forget(most int, now time.Time) {
	for key, own := range l {
		if own.TokensAt(now) >= float64(own.Burst()) {
			delete(l, key)
		}
	}
	if len(l) >= most {
		clear(l)
	}
}

// Wait returns the time until r has a token, 0 if it has one at now.
func Wait(r *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - r.TokensAt(now)
	return max(time.Duration(missing/float64(r.Limit())*float64(time.Second)), 0)
}
