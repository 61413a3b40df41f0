package webhook

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"mailroom/shared/fault"
)

// refusalEvery is how often one kind of refusal is logged.
const refusalEvery = 10 * time.Second

// refusals logs refused requests in summary: a sender with a wrong secret must
// be seen, and a flood must not fill the log. A line says source, code, how many,
// and the address of the last one; never an id or anything else that the request
// claims. Only a failure of our own is logged with its cause.
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
	count  int
	logged time.Time
}

func newRefusals(logger *slog.Logger, now func() time.Time) *refusals {
	return &refusals{logger: logger, now: now, kinds: map[refusalKind]*refusalCount{}}
}

// record counts a refusal and, if it is time to, logs how many there were.
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
	due := now.Sub(c.logged) >= refusalEvery
	if due {
		c.count, c.logged = 0, now
	}
	r.mu.Unlock()
	if !due {
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
