package operator

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"mailroom/shared/fault"
)

// How often an operator may have chains of custody. Each export is an entry of the
// audit chain, which only ever grows, and holds its head while it is read.
const (
	exportsOfEmail   = 3 // at once, and one more in each exportEvery
	exportEvery      = 20 * time.Minute
	exportsOfAnyone  = 60 // at once, and one more in each exportPause
	exportPause      = 2 * time.Second
	limitedExports   = 4096
	exportsAtATime   = 2
	exportTurnPause  = 5 * time.Second
	everyEmail       = 0
	longChecksAtOnce = 1
)

// exported is what exports are counted by: an operator, with an email or everyEmail.
type exported struct {
	actor string
	email int64
}

// exports bounds the exports of custody. It is safe for concurrent use.
type exports struct {
	mu     sync.Mutex
	limits map[exported]*rate.Limiter
	turns  chan struct{}
	checks chan struct{}
}

func newExports() *exports {
	return &exports{
		limits: map[exported]*rate.Limiter{}, turns: make(chan struct{}, exportsAtATime), checks: make(chan struct{}, longChecksAtOnce),
	}
}

// allow takes one export of an email by actor. It fails with fault.RateLimited and
// the time to wait.
func (e *exports) allow(actor string, email int64, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	own := e.of(exported{actor, email}, exportEvery, exportsOfEmail, now)
	all := e.of(exported{actor, everyEmail}, exportPause, exportsOfAnyone, now)
	for _, limit := range []*rate.Limiter{all, own} {
		if lacks := 1 - limit.TokensAt(now); lacks > 1e-6 {
			wait := time.Duration(lacks / float64(limit.Limit()) * float64(time.Second))
			return fault.New(fault.RateLimited, "you have exported the custody of this email, or of many, only just; each export is noted in the audit chain").
				After(max(wait, time.Second))
		}
	}
	own.AllowN(now, 1)
	all.AllowN(now, 1)
	return nil
}

func (e *exports) of(key exported, every time.Duration, burst int, now time.Time) *rate.Limiter {
	limit := e.limits[key]
	if limit == nil {
		if len(e.limits) >= limitedExports {
			e.forget(now)
		}
		limit = rate.NewLimiter(rate.Every(every), burst)
		e.limits[key] = limit
	}
	return limit
}

// forget drops what has no export to count any more, and all where that is nothing.
func (e *exports) forget(now time.Time) {
	for key, limit := range e.limits {
		if limit.TokensAt(now) >= float64(limit.Burst()) {
			delete(e.limits, key)
		}
	}
	if len(e.limits) >= limitedExports {
		clear(e.limits)
	}
}

// enter takes one of turns, and fails where none is free.
func enter(turns chan struct{}) (leave func(), err error) {
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	default:
		return nil, fault.New(fault.Overloaded, "others are exporting or checking the audit chain at the moment").After(exportTurnPause)
	}
}
