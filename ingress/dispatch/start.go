package dispatch

import (
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/api/serviceerror"

	"mailroom/shared/acceptance"
	"mailroom/shared/contract"
	"mailroom/shared/postgres"
	"mailroom/shared/temporal"
)

// begin starts one workflow and tells the limiter, the breaker and the inbox what came
// of it.
func (d *Dispatcher) begin(row postgres.Waiting, done func(error)) {
	d.metrics.inFlight.Inc()
	defer d.metrics.inFlight.Dec()
	began := d.now()
	result, err := d.execute(row)
	took := d.now().Sub(began)

	d.metrics.starts.WithLabelValues(string(result)).Inc()
	d.metrics.startSeconds.Observe(took.Seconds())
	d.lately.settle(row.Email.ID, err == nil)
	d.tempo.finished(took, err == nil, d.now())
	if err == nil {
		d.marks.add(row.Email.ID)
	}

	var why *unstartable
	away := err
	if errors.As(err, &why) { // Temporal is well: the row alone is to blame
		away = nil
	}
	d.limiter.release(took, away != nil, d.now())
	done(away)

	switch {
	case err == nil:
		if result == startDone {
			d.refusedRows.success()
		}
		d.cleared(row)
	case why != nil:
		d.refuse(row, result, why)
	default:
		d.logger.Debug("workflow.waits", slog.Any("error", err))
		d.giveBack(row.Email.ID)
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
func (d *Dispatcher) execute(row postgres.Waiting) (startResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	options := temporal.EmailOptions(row.Email, row.BodySHA256)
	_, err := d.workflows.ExecuteWorkflow(ctx, options, contract.InboundEmailWorkflow, acceptance.Input(row))
	var already *serviceerror.WorkflowExecutionAlreadyStarted
	var invalid *serviceerror.InvalidArgument
	switch {
	case err == nil:
		return startDone, nil
	case errors.As(err, &already):
		return d.occupied(row)
	case errors.As(err, &invalid):
		return startRefused, refused(err)
	}
	return startFailed, err
}
