package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

const (
	// chunkSeconds is how long one part of a batch takes: so often the Web UI shows how
	// far the batch is.
	chunkSeconds = 10
	// chunksPerRun is after how many parts the batch continues in a new run, with a short
	// history.
	chunksPerRun = 300
)

// Replay is a batch: it processes many emails once more, or carries out one decision
// about many, part by part. What it is about, and how far it is, is in its row of the
// ledger; the workflow has the numbers. It can be paused, resumed, stopped and given
// another rate at any time: the part that runs sees that in the ledger within a second.
func Replay(ctx workflow.Context, in contract.ReplayInput) (contract.ReplayProgress, error) {
	b, err := newBatch(ctx, in)
	if err != nil {
		return b.progress, err
	}
	return b.run(ctx)
}

// batch is the state of one run of Replay.
type batch struct {
	in       contract.ReplayInput
	progress contract.ReplayProgress
	due      int64
	controls int // how often the batch was controlled
}

// newBatch registers every handler before anything blocks.
func newBatch(ctx workflow.Context, in contract.ReplayInput) (*batch, error) {
	b := &batch{in: in, progress: in.Progress, due: in.DueUnixMicro}
	if b.progress.State == "" {
		b.progress = contract.ReplayProgress{State: contract.ReplayRunning, Total: -1}
	}

	err := workflow.SetQueryHandlerWithOptions(ctx, contract.QueryProgress,
		func() (contract.ReplayProgress, error) { return b.progress, nil },
		workflow.QueryHandlerOptions{Description: "How far the replay is, as of the last part that ended."})
	if err != nil {
		return b, err
	}

	for _, h := range []struct {
		name, description string
		state             contract.ReplayState
	}{
		{contract.ReplayPause, "begins no further email until it is resumed", contract.ReplayPaused},
		{contract.ReplayResume, "goes on where it was paused", contract.ReplayRunning},
		{contract.ReplayStop, "begins no further email and ends", contract.ReplayStopped},
	} {
		err := workflow.SetUpdateHandlerWithOptions(ctx, h.name,
			func(ctx workflow.Context) (contract.ReplayProgress, error) {
				return b.control(ctx, contract.ReplayControlInput{State: h.state})
			},
			workflow.UpdateHandlerOptions{Validator: b.refuseAfterEnd, Description: h.description})
		if err != nil {
			return b, err
		}
		b.receiveSignals(ctx, h.name, h.description, h.state)
	}

	const rate = "sets how many emails are begun in a second: {\"rate\": 20}; 0 is as fast as it goes"
	err = workflow.SetUpdateHandlerWithOptions(ctx, contract.ReplaySetRate,
		func(ctx workflow.Context, in contract.ReplayRate) (contract.ReplayProgress, error) {
			return b.control(ctx, contract.ReplayControlInput{Rate: &in.Rate})
		},
		workflow.UpdateHandlerOptions{Validator: b.checkRate, Description: rate})
	if err != nil {
		return b, err
	}

	b.publishDetails(ctx)
	return b, nil
}

// receiveSignals handles the signals of one name. A signal that comes late changes
// nothing.
func (b *batch) receiveSignals(ctx workflow.Context, name, description string, state contract.ReplayState) {
	channel := workflow.GetSignalChannelWithOptions(ctx, name, workflow.SignalChannelOptions{Description: description})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			channel.Receive(ctx, nil)
			if b.refuseAfterEnd(ctx) != nil {
				continue
			}
			if _, err := b.control(ctx, contract.ReplayControlInput{State: state}); err != nil {
				workflow.GetLogger(ctx).Info("signal ignored", "signal", name, "why", err.Error())
			}
		}
	})
}

// refuseAfterEnd refuses what comes after the end of the batch.
func (b *batch) refuseAfterEnd(workflow.Context) error {
	if b.progress.State.Final() {
		return errors.New("this replay has come to its end: it is " + string(b.progress.State))
	}
	return nil
}

func (b *batch) checkRate(ctx workflow.Context, in contract.ReplayRate) error {
	if in.Rate < 0 || in.Rate > contract.MaxReplayRate || in.Rate != in.Rate { //nolint:gocritic // NaN
		return fmt.Errorf("the rate is a number from 0 to %d", contract.MaxReplayRate)
	}
	return b.refuseAfterEnd(ctx)
}

// control writes a change to the ledger, where the running part reads it.
func (b *batch) control(ctx workflow.Context, in contract.ReplayControlInput) (contract.ReplayProgress, error) {
	in.ID = b.in.ID
	options := controlOptions
	options.Summary = "control " + string(in.State)
	var out contract.ReplayProgress
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, options), activity.replays.ControlReplay, in).Get(ctx, &out)
	if err == nil {
		b.controls++
		b.setProgress(ctx, out)
	}
	return b.progress, err
}

// setProgress takes newer numbers over. A state that is final stays.
func (b *batch) setProgress(ctx workflow.Context, p contract.ReplayProgress) {
	if p.State == "" || b.progress.State.Final() {
		return
	}
	b.progress = p
	b.publishDetails(ctx)
}

// run works part by part until the end.
func (b *batch) run(ctx workflow.Context) (contract.ReplayProgress, error) {
	if b.in.DryRun {
		return b.preview(ctx)
	}
	for part := 0; !b.progress.State.Final(); part++ {
		if err := workflow.Await(ctx, func() bool { return b.progress.State != contract.ReplayPaused }); err != nil {
			return b.progress, err
		}
		if b.progress.State.Final() {
			break
		}
		if part >= chunksPerRun || workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return b.continueAsNew(ctx)
		}
		if err := b.runPart(ctx); err != nil {
			return b.fail(ctx, err)
		}
	}
	err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	return b.progress, err
}

func (b *batch) runPart(ctx workflow.Context) error {
	options := chunkOptions
	options.Summary = "part of the replay"
	var out contract.ReplayChunkResult
	before := b.controls
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity.replays.ReplayChunk, contract.ReplayChunkInput{
		ID: b.in.ID, Seconds: chunkSeconds, DueUnixMicro: b.due,
	}).Get(ctx, &out)
	if err != nil {
		return err
	}
	b.due = out.DueUnixMicro
	if b.controls != before && !out.Progress.State.Final() { // newer than what the part has read
		out.Progress.State, out.Progress.Rate = b.progress.State, b.progress.Rate
	}
	b.setProgress(ctx, out.Progress)
	return nil
}

func (b *batch) preview(ctx workflow.Context) (contract.ReplayProgress, error) {
	options := previewOptions
	options.Summary = "dry run"
	var out contract.ReplayChunkResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity.preview.PreviewReplay,
		contract.ReplayChunkInput{ID: b.in.ID}).Get(ctx, &out)
	if err != nil {
		return b.fail(ctx, err)
	}
	b.setProgress(ctx, out.Progress)
	return b.progress, nil
}

// fail ends the batch in the ledger as well. A cancellation is a stop.
func (b *batch) fail(ctx workflow.Context, cause error) (contract.ReplayProgress, error) {
	state := contract.ReplayFailed
	if temporal.IsCanceledError(cause) {
		state = contract.ReplayStopped
	}
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if _, err := b.control(ctx, contract.ReplayControlInput{State: state}); err != nil {
		workflow.GetLogger(ctx).Error("end the replay in the ledger", "error", err)
	}
	var app *temporal.ApplicationError
	if state == contract.ReplayStopped || (errors.As(cause, &app) && app.Type() == string(fault.NotFound)) {
		return b.progress, nil
	}
	return b.progress, cause
}

// continueAsNew continues in a new run once every handler is finished.
func (b *batch) continueAsNew(ctx workflow.Context) (contract.ReplayProgress, error) {
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return b.progress, err
	}
	next := b.in
	next.Progress, next.DueUnixMicro = b.progress, b.due
	return b.progress, workflow.NewContinueAsNewError(ctx, Replay, next)
}

// publishDetails shows in the Web UI how far the batch is.
func (b *batch) publishDetails(ctx workflow.Context) {
	p := b.progress
	of := "?"
	if p.Total >= 0 {
		of = fmt.Sprint(p.Total)
	}
	rate := "as fast as it goes"
	if p.Rate > 0 {
		rate = fmt.Sprintf("at most %g/s", p.Rate)
	}
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("**%s.** %d of %s emails: %d done, %d skipped, %d failed; %s, lately %.1f/s.\n\n"+
		"*More Actions*, *Send a Signal*: `pause`, `resume`, `stop`. What became of each email: `mailctl replay show %d --items`.",
		p.State, p.Handled(), of, p.Done, p.Skipped, p.Failed, rate, p.Pace, b.in.ID))
}
