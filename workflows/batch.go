package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
)

const (
	// chunkSeconds is how long one part of a replay takes: so often the Web UI shows
	// how far it is.
	chunkSeconds = 10
	// chunksPerRun is after how many parts the replay goes on in a new run, with a
	// short history.
	chunksPerRun = 300
)

var (
	// A part that its worker takes down with it is taken up by another one soon.
	chunkOptions   = lasting(chunkSeconds*time.Second+2*time.Minute, recordBudget, 30*time.Second)
	previewOptions = lasting(30*time.Minute, 24*time.Hour, time.Minute)
	controlOptions = workflow.LocalActivityOptions{
		StartToCloseTimeout:    2 * time.Second,
		ScheduleToCloseTimeout: 8 * time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, MaximumAttempts: 4},
	}
)

// Replay carries emails once more, or one decision to many, part by part. What it is
// about, and how far it is, stands in its row of the ledger; here are the numbers. It
// can be paused, resumed, stopped and given another rate at any time: the part that
// runs sees that in the ledger within a second.
func Replay(ctx workflow.Context, in contract.ReplayInput) (contract.ReplayProgress, error) {
	r, err := newReplay(ctx, in)
	if err != nil {
		return r.progress, err
	}
	return r.run(ctx)
}

type replay struct {
	in       contract.ReplayInput
	progress contract.ReplayProgress
	due      int64
	controls int // how often somebody changed something
}

// newReplay registers every handler before anything blocks.
func newReplay(ctx workflow.Context, in contract.ReplayInput) (*replay, error) {
	r := &replay{in: in, progress: in.Progress, due: in.DueUnixMicro}
	if r.progress.State == "" {
		r.progress = contract.ReplayProgress{State: contract.ReplayRunning, Total: -1}
	}
	err := workflow.SetQueryHandlerWithOptions(ctx, contract.QueryProgress,
		func() (contract.ReplayProgress, error) { return r.progress, nil },
		workflow.QueryHandlerOptions{Description: "How far the replay is, as of the last part that ended."})
	if err != nil {
		return r, err
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
				return r.control(ctx, contract.ReplayControlInput{State: h.state})
			},
			workflow.UpdateHandlerOptions{Validator: r.open, Description: h.description})
		if err != nil {
			return r, err
		}
		r.listen(ctx, h.name, h.description, h.state)
	}
	const rate = "sets how many emails are begun in a second: {\"rate\": 20}; 0 is as fast as it goes"
	err = workflow.SetUpdateHandlerWithOptions(ctx, contract.ReplaySetRate,
		func(ctx workflow.Context, in contract.ReplayRate) (contract.ReplayProgress, error) {
			return r.control(ctx, contract.ReplayControlInput{Rate: &in.Rate})
		},
		workflow.UpdateHandlerOptions{Validator: r.rateFits, Description: rate})
	if err != nil {
		return r, err
	}
	r.show(ctx)
	return r, nil
}

// listen takes the signals of one name. One that comes late changes nothing.
func (r *replay) listen(ctx workflow.Context, name, description string, state contract.ReplayState) {
	channel := workflow.GetSignalChannelWithOptions(ctx, name, workflow.SignalChannelOptions{Description: description})
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			channel.Receive(ctx, nil)
			if r.open(ctx) != nil {
				continue
			}
			if _, err := r.control(ctx, contract.ReplayControlInput{State: state}); err != nil {
				workflow.GetLogger(ctx).Info("signal ignored", "signal", name, "why", err.Error())
			}
		}
	})
}

// open refuses what comes after the end.
func (r *replay) open(workflow.Context) error {
	if r.progress.State.Final() {
		return errors.New("this replay has come to its end: it is " + string(r.progress.State))
	}
	return nil
}

func (r *replay) rateFits(ctx workflow.Context, in contract.ReplayRate) error {
	if in.Rate < 0 || in.Rate > contract.MaxReplayRate || in.Rate != in.Rate { //nolint:gocritic // NaN
		return fmt.Errorf("the rate is a number from 0 to %d", contract.MaxReplayRate)
	}
	return r.open(ctx)
}

// control writes the change to the ledger, which the running part obeys.
func (r *replay) control(ctx workflow.Context, in contract.ReplayControlInput) (contract.ReplayProgress, error) {
	in.ID = r.in.ID
	options := controlOptions
	options.Summary = "control " + string(in.State)
	var out contract.ReplayProgress
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, options), activity.replays.ControlReplay, in).Get(ctx, &out)
	if err == nil {
		r.controls++
		r.enter(ctx, out)
	}
	return r.progress, err
}

// enter takes newer numbers over. A state that is final stays.
func (r *replay) enter(ctx workflow.Context, p contract.ReplayProgress) {
	if p.State == "" || r.progress.State.Final() {
		return
	}
	r.progress = p
	r.show(ctx)
}

// run works part by part until the end.
func (r *replay) run(ctx workflow.Context) (contract.ReplayProgress, error) {
	if r.in.DryRun {
		return r.preview(ctx)
	}
	for part := 0; !r.progress.State.Final(); part++ {
		if err := workflow.Await(ctx, func() bool { return r.progress.State != contract.ReplayPaused }); err != nil {
			return r.progress, err
		}
		if r.progress.State.Final() {
			break
		}
		if part >= chunksPerRun || workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return r.goOn(ctx)
		}
		if err := r.part(ctx); err != nil {
			return r.fail(ctx, err)
		}
	}
	err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	return r.progress, err
}

func (r *replay) part(ctx workflow.Context) error {
	options := chunkOptions
	options.Summary = "part of the replay"
	var out contract.ReplayChunkResult
	before := r.controls
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity.replays.ReplayChunk, contract.ReplayChunkInput{
		ID: r.in.ID, Seconds: chunkSeconds, DueUnixMicro: r.due,
	}).Get(ctx, &out)
	if err != nil {
		return err
	}
	r.due = out.DueUnixMicro
	if r.controls != before && !out.Progress.State.Final() { // newer than what the part has read
		out.Progress.State, out.Progress.Rate = r.progress.State, r.progress.Rate
	}
	r.enter(ctx, out.Progress)
	return nil
}

func (r *replay) preview(ctx workflow.Context) (contract.ReplayProgress, error) {
	options := previewOptions
	options.Summary = "dry run"
	var out contract.ReplayChunkResult
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), activity.replays.ReplayPreview,
		contract.ReplayChunkInput{ID: r.in.ID}).Get(ctx, &out)
	if err != nil {
		return r.fail(ctx, err)
	}
	r.enter(ctx, out.Progress)
	return r.progress, nil
}

// fail ends the replay in the ledger as well. A cancellation is a stop.
func (r *replay) fail(ctx workflow.Context, cause error) (contract.ReplayProgress, error) {
	state := contract.ReplayFailed
	if temporal.IsCanceledError(cause) {
		state = contract.ReplayStopped
	}
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if _, err := r.control(ctx, contract.ReplayControlInput{State: state}); err != nil {
		workflow.GetLogger(ctx).Error("end the replay in the ledger", "error", err)
	}
	var app *temporal.ApplicationError
	if state == contract.ReplayStopped || (errors.As(cause, &app) && app.Type() == string(fault.NotFound)) {
		return r.progress, nil
	}
	return r.progress, cause
}

// goOn continues in a new run once no handler is in the middle of something.
func (r *replay) goOn(ctx workflow.Context) (contract.ReplayProgress, error) {
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return r.progress, err
	}
	next := r.in
	next.Progress, next.DueUnixMicro = r.progress, r.due
	return r.progress, workflow.NewContinueAsNewError(ctx, Replay, next)
}

// show keeps what the Web UI says of the replay.
func (r *replay) show(ctx workflow.Context) {
	p := r.progress
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
		p.State, p.Handled(), of, p.Done, p.Skipped, p.Failed, rate, p.Pace, r.in.ID))
}
