package webhook

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"mailroom/shared/fault"
)

// refusalEvery is how often one kind of refusal is told at level info.
const refusalEvery = 10 * time.Second

// refusals tells of refused requests in summary: a sender with a wrong secret must
// be seen, and a flood must not fill the log. A line says source, code, how many,
// and the address of the last one; never an id or anything else that the request
// claims. Only a failure of our own is told with its cause.
type refusals struct {
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	kinds map[refusalKind]*refusalCount // bounded: sources times codes
}

type refusalKind struct {
	source string
	code   fault.Code
}

type refusalCount struct {
	count int
	told  time.Time
}

func newRefusals(logger *slog.Logger, now func() time.Time) *refusals {
	return &refusals{logger: logger, now: now, kinds: map[refusalKind]*refusalCount{}}
}

func (r *refusals) record(source string, code fault.Code, remote netip.Addr, cause error) {
	r.mu.Lock()
	kind := refusalKind{source, code}
	c := r.kinds[kind]
	if c == nil {
		c = &refusalCount{}
		r.kinds[kind] = c
	}
	c.count++
	count, now := c.count, r.now()
	tell := now.Sub(c.told) >= refusalEvery
	if tell {
		c.count, c.told = 0, now
	}
	r.mu.Unlock()
	if !tell {
		return
	}
	attrs := []any{
		slog.String("source", source), slog.String("code", string(code)), slog.Int("count", count), slog.String("remote", remote.String()),
	}
	if cause != nil { // our own failure, not the request's
		r.logger.Warn("event.refused", append(attrs, slog.Any("error", cause))...)
		return
	}
	r.logger.Info("event.refused", attrs...)
}
