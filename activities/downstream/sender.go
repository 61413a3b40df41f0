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

// saveAnswerWithin bounds the write that follows an answer that concerns all mail.
const saveAnswerWithin = 3 * time.Second

// Config has the destinations and limits of a Sender.
type Config struct {
	// Destinations as configured; names are unique, secrets resolved.
	Destinations []config.Destination
	// FastCalls is the maximum of concurrent calls of fast attempts; default 24.
	FastCalls int
	// RegularCalls is the maximum of concurrent calls of regular attempts to all
	// destinations together; default 300.
	RegularCalls int
}

// Deps are what a Sender needs; all of it is required.
type Deps struct {
	Metrics Metrics
	Logger  *slog.Logger
	// Answers saves what the answers of destinations say about all mail for them; the
	// other workers read it and pass it to Obey.
	Answers AnswerSaver
}

// AnswerSaver saves what the answers of destinations say about all mail for them.
type AnswerSaver interface {
	// SaveGone saves that nothing is sent to a destination for a while, because it has
	// answered 410.
	SaveGone(ctx context.Context, destination string, lasts time.Duration) error
	// SaveAsked saves that a destination has asked to be left alone for a while.
	SaveAsked(ctx context.Context, destination string, wait time.Duration) error
	// SaveRecovered saves that a destination takes mail although it was stopped or had
	// asked to be left alone.
	SaveRecovered(ctx context.Context, destination string) error
}

// Body returns the request body. It is called at most once, right before the call is
// made, after the breaker and the limits have admitted it.
type Body = func(context.Context) ([]byte, error)

// Sender sends to the configured destinations. It is safe for concurrent use.
type Sender struct {
	destinations map[string]*destination
	metrics      Metrics
	logger       *slog.Logger
	answers      AnswerSaver
	fast         chan struct{} // a place for each call of a fast attempt
	bulkhead     *bulkhead
}

// New returns a Sender. The error names an invalid destination and its problem.
func New(c Config, d Deps) (*Sender, error) {
	if d.Metrics == nil || d.Logger == nil || d.Answers == nil {
		return nil, errors.New("downstream: a dependency is missing")
	}
	if c.FastCalls <= 0 {
		c.FastCalls = defaultFastCalls
	}
	if c.RegularCalls <= 0 {
		c.RegularCalls = defaultRegularCalls
	}

	s := &Sender{
		destinations: make(map[string]*destination, len(c.Destinations)), metrics: d.Metrics, logger: d.Logger, answers: d.Answers,
		fast: make(chan struct{}, c.FastCalls), bulkhead: newBulkhead(c.RegularCalls, len(c.Destinations)),
	}

	for _, to := range c.Destinations {
		if _, twice := s.destinations[to.Name]; twice {
			return nil, fmt.Errorf("destination %q: the name is not unique", to.Name)
		}
		made, err := newDestination(to, d)
		if err != nil {
			return nil, fmt.Errorf("destination %q: %w", to.Name, err)
		}
		s.destinations[to.Name] = made
	}

	return s, nil
}

// Close closes idle connections; calls under way continue.
func (s *Sender) Close() {
	for _, d := range s.destinations {
		d.transport.CloseIdleConnections()
	}
}

// HonoursKey reports whether a repeat of a delivery with the same key has no second
// effect at the destination. It is false for an unknown destination.
func (s *Sender) HonoursKey(name string) bool {
	d, ok := s.destinations[name]
	return ok && d.idempotent
}

// Serves reports whether mail of the tenant may be sent to the destination. It is false
// for an unknown destination.
func (s *Sender) Serves(name, tenant string) bool {
	d, ok := s.destinations[name]
	return ok && slices.Contains(d.tenants, tenant)
}

// Send makes one attempt at a delivery and returns the HTTP status of the answer, 0 if
// there was none. Every failure is a fault, except that an error of body is returned
// unchanged:
//
//   - DownstreamUnavailable: the attempt failed and may be repeated, not before
//     the fault's RetryAfter;
//   - DownstreamRejected: another attempt with the same content cannot help;
//   - AmbiguousEffect: the destination does not honour the key and may or may not
//     have acted;
//   - DownstreamGone: the destination answered 410, now (status 410) or recently (0);
//   - BreakerOpen, DestinationPaused, Overloaded: no call was made; it may be tried
//     again after RetryAfter;
//   - ConfigInvalid: there is no such destination, or it does not serve the tenant
//     of the email.
//
// It is idempotent on d.IdempotencyKey if the destination honours the key. With d.Probe
// one attempt at a time passes a stop after 410.
func (s *Sender) Send(ctx context.Context, e contract.Email, d ledger.Delivery, body Body) (int, error) {
	to, ok := s.destinations[d.Destination]
	if !ok {
		return 0, fault.New(fault.ConfigInvalid, "the destination is not in the configuration")
	}
	if !s.Serves(d.Destination, e.Tenant) { // routing has seen to it, with the configuration of that time
		return 0, fault.New(fault.ConfigInvalid, "the destination does not serve the tenant of the email")
	}
	began := time.Now()
	o := to.send(ctx, call{key: d.IdempotencyKey, correlationID: e.CorrelationID, mark: contract.LoopMark(e), probe: d.Probe, body: body})
	s.metrics.Attempt(d.Destination, o.result, time.Since(began))
	to.seen.record(o, time.Now())
	s.saveAnswer(ctx, d.Destination, to, o)
	return o.status, o.err
}

// saveAnswer saves for the other workers what an answer says about all mail for the
// destination. If that fails, only this process knows.
func (s *Sender) saveAnswer(ctx context.Context, name string, to *destination, o outcome) {
	save := func(context.Context) error { return nil }
	switch now := time.Now(); {
	case o.result == resultGone && o.status != 0:
		save = func(ctx context.Context) error { return s.answers.SaveGone(ctx, name, to.gone.lasts) }
	case o.result == resultRetry && to.waits.ask(now, fault.From(o.err).RetryAfter):
		save = func(ctx context.Context) error { return s.answers.SaveAsked(ctx, name, fault.From(o.err).RetryAfter) }
	case o.result == resultDelivered && to.waits.recover(now, to.gone.end.Swap(0)):
		save = func(ctx context.Context) error { return s.answers.SaveRecovered(ctx, name) }
	case o.result == resultOpen:
		to.waits.open(now)
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveAnswerWithin)
	defer cancel()
	if err := save(ctx); err != nil {
		s.logger.Warn("destination.answer_not_saved", "destination", name, "error", err)
	}
}

// Metrics receives the measurements of a Sender. Results and states are from fixed
// lists: the constants below and States.
type Metrics interface {
	// Attempt counts one use of Send; took includes waiting for a free place.
	Attempt(destination, result string, took time.Duration)
	// Breaker receives each state of a breaker, also the first.
	Breaker(destination, state string)
}

// The results of a call. After the first four a call was made; after the others none
// was made, or it does not count.
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

// results lists them once.
func results() []string {
	return []string{
		resultDelivered, resultRetry, resultRejected, resultAmbiguous, resultGone,
		resultOpen, resultPaused, resultBusy, resultCut, resultNoBody,
	}
}

// The errors by which the breaker counts a call.
var (
	errFailed   = errors.New("the destination failed")
	errExcluded = errors.New("the call says nothing about the destination")
)
