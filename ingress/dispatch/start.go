package dispatch

import (
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/converter"

	"mailroom/shared/acceptance"
	"mailroom/shared/contract"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

// startResult is the label of mailroom_starts_total.
type startResult string

const (
	startDone     startResult = "started"
	startAlready  startResult = "already_started" // by an earlier attempt whose answer was lost
	startRefused  startResult = "refused"         // Temporal takes no start that says this
	startOccupied startResult = "occupied"        // another workflow has the row's workflow ID
	startFailed   startResult = "failed"
)

// startRow starts the workflow of one row and reports the result to the pacer, the
// breaker and the inbox.
func (d *Dispatcher) startRow(row postgres.Waiting, done func(error)) {
	d.metrics.inFlight.Inc()
	defer d.metrics.inFlight.Dec()
	began := d.now()
	result, err := d.starter.start(row)
	took := d.now().Sub(began)

	d.metrics.starts.WithLabelValues(string(result)).Inc()
	d.metrics.startSeconds.Observe(took.Seconds())
	d.recent.end(row.Email.ID, err == nil)
	if err == nil {
		d.marks.add(row.Email.ID)
	}

	var refusal *startRefusal
	outage := err
	if errors.As(err, &refusal) { // Temporal answers: the row alone is at fault
		outage = nil
	}
	d.pacer.end(took, err == nil, outage != nil)
	done(outage)

	switch {
	case err == nil:
		if result == startDone {
			d.refusals.counts.recordSuccess()
		}
		d.refusals.clear(row)
	case refusal != nil:
		d.refusals.refuse(row, result, refusal)
	default:
		d.logger.Debug("workflow.waits", slog.Any("error", err))
		d.sweeper.releaseLater(row.Email.ID)
	}
}

// emailStarter starts the workflows of emails at Temporal.
type emailStarter struct {
	workflows Workflows
	memos     converter.DataConverter
}

// start starts the workflow of row. That it runs already, or has run, is success
// if it is this row's. The error of a row that cannot be started is a *startRefusal.
func (s emailStarter) start(row postgres.Waiting) (startResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	options := temporal.EmailOptions(row.Email, row.BodySHA256)
	_, err := s.workflows.ExecuteWorkflow(ctx, options, contract.InboundEmailWorkflow, acceptance.Input(row))

	var already *serviceerror.WorkflowExecutionAlreadyStarted
	var invalid *serviceerror.InvalidArgument
	switch {
	case err == nil:
		return startDone, nil
	case errors.As(err, &already):
		return s.identifyOccupant(row)
	case errors.As(err, &invalid):
		return startRefused, invalidStart(err)
	}
	return startFailed, err
}
