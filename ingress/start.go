package ingress

import (
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"mailroom/ingress/failpoint"
	"mailroom/ingress/mutant"
	"mailroom/shared/contract"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

// begin starts one workflow and tells the limiter, the breaker and the inbox what came
// of it.
func (s *starter) begin(row postgres.Waiting, done func(error)) {
	s.metrics.startsInFlight.Inc()
	defer s.metrics.startsInFlight.Dec()
	began := s.now()
	mutant.Do(mutant.MarkedFirst, func() { s.marks.add(row.Email.ID) })
	result, err := s.execute(row)
	took := s.now().Sub(began)

	s.metrics.starts.WithLabelValues(string(result)).Inc()
	s.metrics.startSeconds.Observe(took.Seconds())
	s.lately.settle(row.Email.ID, err == nil)
	s.tempo.finished(took, err == nil, s.now())
	if err == nil {
		s.marks.add(row.Email.ID)
	}

	var why *unstartable
	away := err
	if errors.As(err, &why) { // Temporal is well: the row alone is to blame
		away = nil
	}
	s.limiter.release(took, away != nil, s.now())
	done(away)

	switch {
	case err == nil:
		if result == startDone {
			s.refusedRows.success()
		}
		s.cleared(row)
	case why != nil:
		s.refuse(row, result, why)
	default:
		s.logger.Debug("workflow.waits", slog.Any("error", err))
		s.giveBack(row.Email.ID)
	}
}

// startResult is the label of mailroom_starts_total.
type startResult string

const (
	startDone     startResult = "started"
	startAlready  startResult = "already_started" // by an earlier try whose answer was lost
	startRefused  startResult = "refused"         // Temporal takes no start that says this
	startOccupied startResult = "occupied"        // another workflow has the row's workflow ID
	startFailed   startResult = "failed"
)

// execute starts the workflow of row. That it runs already, or has run, is success if
// it is this row's. The error of a row that cannot be started is an *unstartable.
func (s *starter) execute(row postgres.Waiting) (startResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	_, err := s.workflows.ExecuteWorkflow(ctx, startOptions(row.Email, row.BodySHA256), contract.InboundEmailWorkflow,
		contract.InboundEmailInput{
			Email: row.Email, ReceivedAtUnixMilli: row.ReceivedAt.UnixMilli(), Hold: row.Hold,
		})
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	var invalid *serviceerror.InvalidArgument
	switch {
	case err == nil:
		failpoint.Hit(failpoint.AfterStart)
		return startDone, nil
	case errors.As(err, &already):
		return s.occupied(row)
	case errors.As(err, &invalid):
		return startRefused, refused(err)
	}
	return startFailed, err
}

// startOptions are those of every workflow of an email, whoever starts it.
func startOptions(e contract.Email, bodySHA256 [32]byte) client.StartWorkflowOptions {
	options := temporal.EmailOptions(e, bodySHA256)
	options.ID = mutant.Fresh(e.WorkflowID)
	return options
}
