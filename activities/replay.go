package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// ReplayRows reads and changes the rows of replays.
type ReplayRows interface {
	Replay(ctx context.Context, id int64) (*ledger.ReplayRow, error)
	// TakeReplay returns the fence that claims need; with the fence before it nothing
	// more is claimed.
	TakeReplay(ctx context.Context, id int64) (*ledger.ReplayRow, int64, error)
	ControlReplay(ctx context.Context, in contract.ReplayControlInput) (*ledger.ReplayRow, error)
}

// ReplayControls reads what a running part has to obey.
type ReplayControls interface {
	ReplayControl(ctx context.Context, id int64) (state contract.ReplayState, rate float64, fence int64, err error)
}

// ReplayClaims hands out the emails of a replay, each once.
type ReplayClaims interface {
	ClaimReplay(ctx context.Context, r *ledger.ReplayRow, fence int64, limit int) (list []ledger.ReplayEmail, end bool, err error)
	// ClaimedReplay returns the claims that have no result.
	ClaimedReplay(ctx context.Context, id int64) ([]ledger.ReplayEmail, error)
	SaveReplayResults(ctx context.Context, id int64, list []ledger.ReplayResult, pace float64) error
}

// ReplayDecisions is the decision that a replay sends.
type ReplayDecisions interface {
	// ReplayIntent returns the decision that all held emails of the replay are sent.
	ReplayIntent(ctx context.Context, id int64) (int64, error)
	// TookIntent reports whether an email's decision of this intent is written down.
	TookIntent(ctx context.Context, emailID, intent int64) (bool, error)
	// DecideRefused carries out an intent about an email whose workflow cannot be
	// started. It is decision_refused where the email does not wait for it (any more).
	DecideRefused(ctx context.Context, emailID, intent int64) (contract.DecisionResult, error)
}

// EndRecorder writes the ends of several emails. It is idempotent as a StateRecorder
// is, and writes all of them or none.
type EndRecorder interface {
	RecordAll(ctx context.Context, list []contract.RecordInput) error
}

// Execution is what has become of an email's workflow.
type Execution struct {
	// Running, Ended and Forced say whether it runs, has come to its own end, or was
	// ended in another way; none of them: Temporal does not know it (any more).
	Running, Ended, Forced bool
	// Foreign says that something else than an email's workflow has the ID: nothing of
	// the above is known of the email.
	Foreign bool
	// Replay is the replay that started the latest run, 0 for none.
	Replay int64
}

// Decider sends decisions to the workflows of emails. Its errors are faults:
// temporal_unavailable where Temporal did not answer in time.
type Decider interface {
	// Decide sends a decision to the running workflow and waits until it was taken.
	// An intent that comes again is taken once. No workflow that runs is not_found, a
	// decision that it did not take decision_refused.
	Decide(ctx context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error)
	// Taken returns what a workflow, also one that has ended, answered to an intent;
	// false: it has not taken it. It sends nothing.
	Taken(ctx context.Context, workflowID string, intent int64) (contract.DecisionResult, bool, error)
}

// EmailStarter starts the workflow of an email once more. A workflow that runs under its
// ID already is decision_refused.
type EmailStarter interface {
	Start(ctx context.Context, e *ledger.ReplayEmail, again contract.Replayed) error
}

// Executions reads what has become of the workflows of emails, with errors as Decider.
type Executions interface {
	Execution(ctx context.Context, workflowID string) (Execution, error)
	// Healthy reports whether Temporal answers at all.
	Healthy(ctx context.Context) bool
}

// ReplaysDeps is what Replays needs; all of it is required but Now.
type ReplaysDeps struct {
	Rows       ReplayRows
	Controls   ReplayControls
	Claims     ReplayClaims
	Decisions  ReplayDecisions
	Ends       EndRecorder
	Decider    Decider
	Starter    EmailStarter
	Executions Executions
	Now        func() time.Time // nil: time.Now
}

// Replays carries out replays and decisions about many emails, part by part.
type Replays struct{ deps ReplaysDeps }

// NewReplays checks that nothing is missing.
func NewReplays(deps ReplaysDeps) (*Replays, error) {
	if deps.Rows == nil || deps.Controls == nil || deps.Claims == nil || deps.Decisions == nil || deps.Ends == nil ||
		deps.Decider == nil || deps.Starter == nil || deps.Executions == nil {
		return nil, errors.New("replays: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Replays{deps: deps}, nil
}

// ControlReplay moves a replay to another state, or sets its rate. It is idempotent on ID
// and what is set; a replay that has come to its end is decision_refused.
func (s *Replays) ControlReplay(ctx context.Context, in contract.ReplayControlInput) (out contract.ReplayProgress, err error) {
	defer translateError(ctx, contract.Email{}, &err)

	r, err := s.deps.Rows.ControlReplay(ctx, in)
	if r != nil {
		out = r.Progress()
	}
	if err != nil {
		return out, fmt.Errorf("control replay: %w", err)
	}
	return out, nil
}

// ReplayChunk works on a replay for some seconds. Whatever ended an earlier attempt
// of it, no email is done twice: each is claimed in the ledger first, what was
// claimed and has no result is looked into, and decisions, ends and starts are known by
// the replay's number where they arrive. It is idempotent on ID.
func (s *Replays) ReplayChunk(ctx context.Context, in contract.ReplayChunkInput) (out contract.ReplayChunkResult, err error) {
	defer translateError(ctx, contract.Email{}, &err)
	defer startHeartbeat(ctx, 0)()

	row, fence, err := s.deps.Rows.TakeReplay(ctx, in.ID)
	if err != nil {
		return out, fmt.Errorf("take replay: %w", err)
	}
	out.Progress = row.Progress()
	if row.State != contract.ReplayRunning || row.DryRun {
		return out, nil
	}

	c := &chunk{
		s: s, row: row, fence: fence, until: s.deps.Now().Add(time.Duration(in.Seconds) * time.Second),
		pacer:   newPacer(row.Rate, in.DueUnixMicro, s.deps.Now()),
		results: make(chan ledger.ReplayResult, row.AtOnce), places: make(chan struct{}, row.AtOnce),
		stop: make(chan struct{}), pace: row.Pace,
		work: &emailWork{deps: s.deps, row: row, ends: endGroup{write: s.deps.Ends.RecordAll}},
	}
	if c.work.intent, err = s.deps.Decisions.ReplayIntent(ctx, row.ID); err != nil {
		return out, fmt.Errorf("write intent: %w", err)
	}

	end, err := c.run(ctx)
	if err != nil {
		return out, err
	}
	out.DueUnixMicro = c.pacer.nextDue()
	if end {
		row, err = s.deps.Rows.ControlReplay(ctx, contract.ReplayControlInput{ID: in.ID, State: contract.ReplayDone})
	} else {
		row, err = s.deps.Rows.Replay(ctx, in.ID)
	}
	if fault.Is(err, fault.DecisionRefused) { // stopped at the last moment
		err = nil
	}
	if err != nil {
		return out, fmt.Errorf("read replay: %w", err)
	}
	out.Progress = row.Progress()
	return out, nil
}
