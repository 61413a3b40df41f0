package accept

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/semaphore"

	"mailroom/ingress/breaker"
	"mailroom/shared/acceptance"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

// Bounds of the fallback. Each event is a workflow start of its own, and its request waits
// for the answer.
const (
	// answerTime is kept back of an event's time for its answer; a start has all the
	// rest, and is not begun with less than leastFallback.
	answerTime    = 500 * time.Millisecond
	leastFallback = 250 * time.Millisecond
	// fairFallback is the time that Temporal must have had for a late answer to count
	// against it. What our own queue has left no time for says nothing.
	fairFallback     = time.Second
	fallbackInFlight = 32
	fallbackFailures = 3
	fallbackPause    = time.Second
	// trialWait is how long an event waits for the result of another one that tries
	// whether Temporal has recovered. It asks for it each trialTick.
	trialWait = time.Second
	trialTick = 10 * time.Millisecond
)

// Workflows starts workflows and describes those that exist; a client.Client is one.
type Workflows interface {
	temporal.Describer
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
}

// FallbackStarter starts the workflow of an event with the event itself in its input,
// while the database is unavailable. Temporal's acknowledgement makes it durable; the
// workflow writes the row before it does anything else.
//
// The workflow ID deduplicates. If an email's workflow that came with the same body, by
// its memo, has the ID, the event is a repeat. For another body, another kind of workflow,
// or one that does not say, the event gets the workflow of a conflicting one: that finds
// out from the ledger whether it is one, and has nothing to do if it is not. If that ID is
// taken by anything but the workflow of this body, the event is not accepted.
type FallbackStarter struct {
	workflows Workflows
	memos     converter.DataConverter
	sealer    acceptance.Sealer
	metrics   *prometheus.CounterVec // source, outcome
	logger    *slog.Logger
	breaker   *breaker.Breaker
	places    *semaphore.Weighted
}

// FallbackDeps is what a FallbackStarter needs; all are required but Sources.
type FallbackDeps struct {
	Sources   []string // whose counters are there, at zero, before the first event
	Workflows Workflows
	Memos     converter.DataConverter // reads the memos of workflows
	Sealer    acceptance.Sealer
	Registry  prometheus.Registerer
	Logger    *slog.Logger
}

// NewFallbackStarter returns a starter that is ready to use.
func NewFallbackStarter(deps FallbackDeps) (*FallbackStarter, error) {
	if deps.Workflows == nil || deps.Memos == nil || deps.Sealer == nil || deps.Registry == nil || deps.Logger == nil {
		return nil, errors.New("accept: a dependency of the fallback is missing")
	}
	starts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mailroom_events_carried_total", Help: "Events that Temporal accepted because the database was unavailable.",
	}, []string{"source", "outcome"})
	if err := deps.Registry.Register(starts); err != nil {
		return nil, fmt.Errorf("accept: register metrics: %w", err)
	}
	for _, source := range deps.Sources {
		for _, outcome := range []postgres.Outcome{postgres.Inserted, postgres.Duplicate, postgres.Conflict} {
			starts.WithLabelValues(source, string(outcome))
		}
	}

	return &FallbackStarter{
		workflows: deps.Workflows, memos: deps.Memos, sealer: deps.Sealer, metrics: starts, logger: deps.Logger,
		breaker: breaker.New(breaker.Config{Name: "temporal_carry", Failures: fallbackFailures, Pause: fallbackPause}, deps.Logger),
		places:  semaphore.NewWeighted(fallbackInFlight),
	}, nil
}

// Start implements Fallback. After an error the event may have been started
// all the same.
func (s *FallbackStarter) Start(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	if err := acceptance.Check(row); err != nil {
		return postgres.Accepted{}, err
	}
	done, err := s.awaitBreaker(ctx)
	if err != nil {
		return postgres.Accepted{}, err
	}
	if err := s.places.Acquire(ctx, 1); err != nil {
		done(breaker.ErrInconclusive)
		return postgres.Accepted{}, fault.Wrap(fault.Overloaded, "too many events wait for Temporal at the moment", err)
	}
	defer s.places.Release(1)

	began, left := time.Now(), Timeout-answerTime
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end) - answerTime
	}
	if left < leastFallback {
		done(breaker.ErrInconclusive)
		return postgres.Accepted{}, fault.New(fault.Overloaded, "too many events wait for Temporal at the moment")
	}

	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	err = errors.New("it panicked")
	defer func() {
		if err != nil && ctx.Err() != nil && time.Since(began) < fairFallback {
			err = breaker.ErrInconclusive
		}
		done(err)
	}()

	accepted, err := s.startEmail(ctx, row)
	if named, sentence := eventAtFault(err); named != "" { // Temporal answers: this event alone cannot be started
		s.logger.Error(named, slog.String("event_id", row.EventID), slog.String("correlation_id", row.CorrelationID),
			slog.String("tenant", row.Tenant), slog.String("source", row.Source), slog.Any("error", err))
		refused := fault.Wrap(fault.TemporalUnavailable, sentence, err)
		err = nil
		return postgres.Accepted{}, refused
	}
	if err != nil {
		return postgres.Accepted{}, fault.Wrap(fault.TemporalUnavailable, "Temporal does not take the event", err)
	}
	s.metrics.WithLabelValues(row.Source, string(accepted.Outcome)).Inc()
	return accepted, nil
}

// eventAtFault returns the log message and the sentence for the sender, which tries again,
// if an event cannot be started although Temporal answers; both are empty for other errors.
func eventAtFault(err error) (name, sentence string) {
	var invalid *serviceerror.InvalidArgument
	switch {
	case errors.Is(err, errEnded):
		return "workflow.ended_early", "the event's workflow was ended and must be reset"
	case errors.Is(err, errOccupied):
		return "workflow.occupied", "another workflow has the event's workflow ID"
	case errors.As(err, &invalid):
		return "workflow.refused", "Temporal refuses to start the event's workflow"
	}
	return "", ""
}

// awaitBreaker asks the breaker. After an outage it lets one event try; the others wait for
// that one's result, so that a Temporal that has recovered takes all that come at once.
func (s *FallbackStarter) awaitBreaker(ctx context.Context) (func(error), error) {
	end := time.Now().Add(trialWait)
	tick := time.NewTicker(trialTick)
	defer tick.Stop()

	for {
		done, err := s.breaker.Allow()
		switch {
		case err == nil:
			return done, nil
		case !errors.Is(err, gobreaker.ErrTooManyRequests), ctx.Err() != nil, time.Now().After(end):
			return nil, fault.Wrap(fault.TemporalUnavailable, "Temporal does not answer", err)
		}

		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// startEmail starts the workflow of the event, or that of a conflicting one.
func (s *FallbackStarter) startEmail(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	input, err := acceptance.FallbackInput(row, s.sealer)
	if err != nil {
		return postgres.Accepted{}, err
	}

	taken, err := s.startWorkflow(ctx, input)
	if err != nil || !taken {
		return acceptance.Answer(input, postgres.Inserted), err
	}
	same, err := s.sameBody(ctx, row.WorkflowID, row.BodySHA256)
	if err != nil || same {
		return acceptance.Answer(input, postgres.Duplicate), err
	}

	input = acceptance.AsConflict(input)
	taken, err = s.startWorkflow(ctx, input)
	if err != nil || !taken {
		return acceptance.Answer(input, postgres.Conflict), err
	}
	same, err = s.sameBody(ctx, input.Email.WorkflowID, row.BodySHA256)
	if err == nil && !same {
		err = fmt.Errorf("workflow %s: %w", input.Email.WorkflowID, errOccupied)
	}
	return acceptance.Answer(input, postgres.Duplicate), err
}

// startWorkflow starts one workflow; taken reports that its ID is, or was, in use.
func (s *FallbackStarter) startWorkflow(ctx context.Context, input contract.InboundEmailInput) (taken bool, err error) {
	options := temporal.EmailOptions(input.Email, input.Fallback.BodySHA256)
	_, err = s.workflows.ExecuteWorkflow(ctx, options, contract.InboundEmailWorkflow, input)
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &already) {
		return true, nil
	}
	return false, err
}

// errOccupied is a workflow ID that something else than this event's workflow has.
var errOccupied = errors.New("another workflow has the event's workflow ID")

// errEnded is a workflow that was terminated, or ended in another way than its own: it is
// not known whether it did anything, so it makes no answer.
var errEnded = errors.New("the workflow of the event has not come to its own end")

// sameBody reports whether the workflow with this ID is an email's that came with this
// body. It fails with errEnded if an email's workflow was ended by force; an ID that
// Temporal does not know any more is no email's.
func (s *FallbackStarter) sameBody(ctx context.Context, workflowID string, bodySHA256 [32]byte) (bool, error) {
	o, found, err := temporal.Describe(ctx, s.workflows, s.memos, workflowID)
	switch {
	case err != nil || !found:
		return false, err
	case o.IsEmail() && o.Forced():
		return false, errEnded
	}
	return o.CameWith(bodySHA256), nil
}
