package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/converter"

	"mailroom/ingress/failpoint"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

// Bounds of carrying. Each event is a workflow start of its own while somebody
// waits for the answer.
const (
	// answerTime is kept back of an event's time for its answer; a start has all the
	// rest, and is not begun with less than leastCarry.
	answerTime = 500 * time.Millisecond
	leastCarry = 250 * time.Millisecond
	// fairCarry is the time that Temporal must have had for a late answer to count
	// against it. What our own queue has left no time for says nothing.
	fairCarry     = time.Second
	carriedAtOnce = 32
	carryFailures = 3
	carryPause    = time.Second
	// trialWait is how long an event waits to hear what became of another that tries
	// whether Temporal is back. It is asked for each trialTick.
	trialWait = time.Second
	trialTick = 10 * time.Millisecond
)

// Sealer makes content fit for Temporal: compressed, and encrypted where a key is configured.
type Sealer interface {
	Seal(plain []byte) (contract.Sealed, error)
}

// temporalCarrier starts the workflow of an event with the event itself in its
// input, while the database is away. Temporal's acknowledgement makes it durable;
// the workflow writes the row before it does anything else.
//
// Dedup is the workflow ID's. A workflow of an email that is there already for the same
// body, as its memo tells, makes the event a repeat. For another body, another kind of
// workflow, or where nobody can tell, the event gets the workflow of a conflicting one:
// that finds out from the ledger whether it is one, and has nothing to do if it is not.
// Where that ID is taken by anything but the workflow of this body, nothing is accepted.
type temporalCarrier struct {
	workflows Workflows
	reader    temporal.Describer
	memos     converter.DataConverter
	sealer    Sealer
	metrics   *metrics
	logger    *slog.Logger
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}]
	places    slots
}

func newTemporalCarrier(deps Deps, m *metrics) *temporalCarrier {
	return &temporalCarrier{
		workflows: deps.Workflows, reader: deps.Reader, memos: deps.memos(), sealer: deps.Sealer, metrics: m, logger: deps.Logger,
		breaker: newBreaker("temporal_carry", carryFailures, carryPause, deps.Logger),
		places:  make(slots, carriedAtOnce),
	}
}

// carry implements carrier. On an error nothing is known of the event.
func (c *temporalCarrier) carry(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	if len(row.Body) > contract.MaxCarried {
		return postgres.Accepted{}, fault.Newf(fault.Internal, "a body of %d bytes cannot be carried", len(row.Body))
	}
	done, err := c.allow(ctx)
	if err != nil {
		return postgres.Accepted{}, err
	}
	select {
	case c.places <- struct{}{}:
		defer c.places.give()
	case <-ctx.Done():
		done(errNoTime)
		return postgres.Accepted{}, fault.Wrap(fault.Overloaded, "too many events wait for Temporal at the moment", ctx.Err())
	}
	began, left := time.Now(), ackTimeout-answerTime
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end) - answerTime
	}
	if left < leastCarry {
		done(errNoTime)
		return postgres.Accepted{}, fault.New(fault.Overloaded, "too many events wait for Temporal at the moment")
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	err = errors.New("it panicked")
	defer func() {
		if err != nil && ctx.Err() != nil && time.Since(began) < fairCarry {
			err = errNoTime
		}
		done(err)
	}()
	accepted, err := c.start(ctx, row)
	if named, sentence := blame(err); named != "" { // Temporal is well: the event alone cannot be carried
		c.logger.Error(named, slog.String("event_id", row.EventID), slog.String("correlation_id", row.CorrelationID),
			slog.String("tenant", row.Tenant), slog.String("source", row.Source), slog.Any("error", err))
		refused := fault.Wrap(fault.TemporalUnavailable, sentence, err)
		err = nil
		return postgres.Accepted{}, refused
	}
	if err != nil {
		return postgres.Accepted{}, fault.Wrap(fault.TemporalUnavailable, "Temporal does not take the event", err)
	}
	c.metrics.carried.WithLabelValues(row.Source, string(accepted.Outcome)).Inc()
	return accepted, nil
}

// blame names what keeps one event from being carried while Temporal is well, and says
// it to the sender, who comes again; empty for other errors.
func blame(err error) (name, sentence string) {
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

// allow asks the breaker. After an outage it lets one event try; the others hear of
// that one's success, so that a Temporal that is long back takes all that come at once.
func (c *temporalCarrier) allow(ctx context.Context) (func(error), error) {
	end := time.Now().Add(trialWait)
	tick := time.NewTicker(trialTick)
	defer tick.Stop()
	for {
		done, err := c.breaker.Allow()
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

// start starts the workflow of the event, or that of a conflicting one.
func (c *temporalCarrier) start(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error) {
	carried := contract.Carried{BodySHA256: row.BodySHA256, BodyKey: row.BodyKey, Verified: row.Verified}
	if row.BodyKey == "" {
		sealed, err := c.sealer.Seal(row.Body)
		if err != nil {
			return postgres.Accepted{}, fmt.Errorf("seal event: %w", err)
		}
		carried.Body = &sealed
	}
	input := contract.InboundEmailInput{
		Email: contract.Email{
			WorkflowID: row.WorkflowID, Source: row.Source, EventID: row.EventID,
			Tenant: row.Tenant, CorrelationID: row.CorrelationID, Size: row.Size,
		},
		ReceivedAtUnixMilli: row.ReceivedAt.UnixMilli(), Hold: row.Hold, Carried: &carried,
	}
	taken, err := c.execute(ctx, input)
	if err != nil || !taken {
		return accepted(input, postgres.Inserted), err
	}
	same, err := c.sameBody(ctx, row.WorkflowID, row.BodySHA256)
	if err != nil || same {
		return accepted(input, postgres.Duplicate), err
	}

	input.Email.WorkflowID = contract.ConflictWorkflowID(row.Source, row.EventID, row.BodySHA256)
	taken, err = c.execute(ctx, input)
	if err != nil || !taken {
		return accepted(input, postgres.Conflict), err
	}
	same, err = c.sameBody(ctx, input.Email.WorkflowID, row.BodySHA256)
	if err == nil && !same {
		err = fmt.Errorf("workflow %s: %w", input.Email.WorkflowID, errOccupied)
	}
	return accepted(input, postgres.Duplicate), err
}

// execute starts one workflow; taken says that its ID is or was in use.
func (c *temporalCarrier) execute(ctx context.Context, input contract.InboundEmailInput) (taken bool, err error) {
	_, err = c.workflows.ExecuteWorkflow(ctx, startOptions(input.Email, input.Carried.BodySHA256),
		contract.InboundEmailWorkflow, input)
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &already) {
		return true, nil
	}
	if err == nil {
		failpoint.Hit(failpoint.AfterStart)
	}
	return false, err
}

// errEnded is a workflow that was terminated, or ended in another way than its
// own: nobody can say whether it did anything, and nothing may be answered for it.
var errEnded = errors.New("the workflow of the event has not come to its own end")

// sameBody reports whether a workflow ID is that of an email's workflow that came with
// this body. One of an email that was ended by force is errEnded; one that Temporal does
// not know any more is none.
func (c *temporalCarrier) sameBody(ctx context.Context, workflowID string, bodySHA256 [32]byte) (bool, error) {
	o, found, err := temporal.Look(ctx, c.reader, c.memos, workflowID)
	switch {
	case err != nil || !found:
		return false, err
	case o.IsEmail() && o.Forced():
		return false, errEnded
	}
	return o.CameWith(bodySHA256), nil
}

func accepted(input contract.InboundEmailInput, outcome postgres.Outcome) postgres.Accepted {
	return postgres.Accepted{Outcome: outcome, Row: postgres.Waiting{Email: input.Email, Hold: input.Hold}}
}
