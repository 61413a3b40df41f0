package guard

import (
	"time"

	"golang.org/x/time/rate"
)

// Limit is how often something may be done under one key.
type Limit struct {
	Burst int           // at once
	Every time.Duration // one more in each
	Keys  int           // how many keys are remembered
}

// Limits counts by key. It is not safe for concurrent use.
type Limits[K comparable] map[K]*rate.Limiter

// Of returns what counts for key. Of more than limit.Keys those are forgotten under
// which nothing is counted any more, and all where none is like that.
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

// Wait returns how long it takes until r has one to give, 0 where it has one now.
func Wait(r *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - r.TokensAt(now)
	return max(time.Duration(missing/float64(r.Limit())*float64(time.Second)), 0)
}
