package downstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// keepWithin bounds the write that follows an answer 410.
const keepWithin = 3 * time.Second

// Config is what a Sender is made of.
type Config struct {
	// Destinations as they are configured; names are unique, secrets resolved.
	Destinations []config.Destination
	// MaxWait is how long a call waits for a free place before it is put off;
	// default 250 ms.
	MaxWait time.Duration
	// Pause is how long nothing is sent to a destination after it has answered
	// 410; default and most 1 h.
	Pause time.Duration
	// FastCalls is the most calls of fast attempts under way at a time; default 24.
	FastCalls int
	// RegularCalls is the most calls of regular attempts under way at a time, those to
	// all destinations together; default 300.
	RegularCalls int
}

// Deps are what a Sender needs; all may be nil.
type Deps struct {
	Metrics Metrics
	Logger  *slog.Logger
	// Gone keeps that a destination has answered 410, so that every worker learns of it
	// by what Obey is given; without it the stop is this process's own.
	Gone GoneKeeper
}

// GoneKeeper writes down that nothing is sent to a destination for a while, because
// it has just answered 410.
type GoneKeeper interface {
	SaveGone(ctx context.Context, destination string, lasts time.Duration) error
}

// Body gives the request body. It is called at most once, when a breaker and a
// free place have let the call through, right before the call is made.
type Body = func(context.Context) ([]byte, error)

// Sender sends to the configured destinations. It is safe for concurrent use.
type Sender struct {
	destinations map[string]*destination
	metrics      Metrics
	logger       *slog.Logger
	gone         GoneKeeper
	fast         chan struct{} // a place for each call of a fast attempt
	bulkhead     *bulkhead
}

// New makes a Sender. The error names the destination and what is wrong with it.
func New(c Config, d Deps) (*Sender, error) {
	if c.MaxWait <= 0 {
		c.MaxWait = 250 * time.Millisecond
	}
	if c.Pause <= 0 || c.Pause > ledger.LongestStop {
		c.Pause = ledger.LongestStop
	}
	if c.FastCalls <= 0 {
		c.FastCalls = defaultFastCalls
	}
	if c.RegularCalls <= 0 {
		c.RegularCalls = defaultRegularCalls
	}
	if d.Metrics == nil {
		d.Metrics = noMetrics{}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}

	s := &Sender{
		destinations: make(map[string]*destination, len(c.Destinations)), metrics: d.Metrics, logger: d.Logger, gone: d.Gone,
		fast: make(chan struct{}, c.FastCalls), bulkhead: newBulkhead(c.RegularCalls, len(c.Destinations)),
	}

	for _, to := range c.Destinations {
		if _, twice := s.destinations[to.Name]; twice {
			return nil, fmt.Errorf("destination %q: the name is taken", to.Name)
		}
		made, err := newDestination(to, c, d)
		if err != nil {
			return nil, fmt.Errorf("destination %q: %w", to.Name, err)
		}
		s.destinations[to.Name] = made
	}

	return s, nil
}

// Close closes connections that wait for the next call; calls under way go on.
func (s *Sender) Close() {
	for _, d := range s.destinations {
		d.transport.CloseIdleConnections()
	}
}

// HonoursKey reports whether a repeat of a delivery with the same key has no
// second effect at the destination. An unknown destination honours nothing.
func (s *Sender) HonoursKey(name string) bool {
	d, ok := s.destinations[name]
	return ok && d.idempotent
}

// Serves reports whether mail of the tenant may be sent to the destination. An
// unknown destination serves no tenant.
func (s *Sender) Serves(name, tenant string) bool {
	d, ok := s.destinations[name]
	return ok && slices.Contains(d.tenants, tenant)
}

// Send makes one attempt at a delivery and gives the HTTP status of the answer,
// 0 where there was none. Success is nil; every failure is a fault, except that
// an error of body comes back as it is:
//
//   - DownstreamUnavailable: the attempt failed and may be repeated, not before
//     the fault's RetryAfter;
//   - DownstreamRejected: another attempt with the same content cannot help;
//   - AmbiguousEffect: nobody knows whether a destination that does not honour
//     the key has acted;
//   - DownstreamGone: the destination answered 410, now (status 410) or lately (0);
//   - BreakerOpen, DestinationPaused, Overloaded: no call was made, it may be tried again after RetryAfter;
//   - ConfigInvalid: there is no such destination, or it does not serve the tenant
//     of the email.
//
// A repeat is recognised by the destination, if it honours d.IdempotencyKey.
func (s *Sender) Send(ctx context.Context, e contract.Email, d ledger.Delivery, body Body) (int, error) {
	to, ok := s.destinations[d.Destination]
	if !ok {
		return 0, fault.New(fault.ConfigInvalid, "the destination is not in the configuration")
	}
	if !s.Serves(d.Destination, e.Tenant) { // routing has seen to it, with the configuration of that time
		return 0, fault.New(fault.ConfigInvalid, "the destination does not serve the tenant of the email")
	}
	began := time.Now()
	o := to.send(ctx, call{key: d.IdempotencyKey, correlationID: e.CorrelationID, mark: contract.LoopMark(e), body: body})
	s.metrics.Attempt(d.Destination, o.result, time.Since(began))
	to.seen.note(o, time.Now())
	if o.result == resultGone && o.status != 0 {
		s.keepGone(ctx, d.Destination, to.pause410)
	}
	return o.status, o.err
}

// keepGone tells the other workers of an answer 410. Where that fails the stop is
// this process's own.
func (s *Sender) keepGone(ctx context.Context, destination string, lasts time.Duration) {
	if s.gone == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
	defer cancel()
	if err := s.gone.SaveGone(ctx, destination, lasts); err != nil {
		s.logger.Warn("destination.gone_not_kept", "destination", destination, "error", err)
	}
}

// Metrics takes what a Sender measures. Results and states are from fixed lists:
// the constants below and States.
type Metrics interface {
	// Attempt counts one use of Send; took includes waiting for a free place.
	Attempt(destination, result string, took time.Duration)
	// Breaker is told each change of a breaker, and its first state.
	Breaker(destination, state string)
}

type noMetrics struct{}

func (noMetrics) Attempt(string, string, time.Duration) {}
func (noMetrics) Breaker(string, string)                {}

// The results of a call. The first four answered or failed on the wire, the
// others made no call or do not count.
const (
	resultDelivered = "delivered"
	resultRetry     = "retry"
	resultRejected  = "rejected"
	resultAmbiguous = "ambiguous"
	resultGone      = "gone"
	resultOpen      = "breaker_open"
	resultPaused    = "paused"
	resultBusy      = "busy"
	resultCut       = "cut_short"
	resultNoBody    = "no_body"
)

// How a breaker learns of the end of a call.
var (
	errFailed   = errors.New("the destination failed")
	errExcluded = errors.New("nothing was learnt of the destination")
)
