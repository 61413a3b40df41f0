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

// ReplayLedger is what a replay reads and writes of the ledger.
type ReplayLedger interface {
	Replay(ctx context.Context, id int64) (*ledger.ReplayRow, error)
	// TakeReplay gives the fence that claims need; whoever had it before claims nothing more.
	TakeReplay(ctx context.Context, id int64) (*ledger.ReplayRow, int64, error)
	// ReplayIntent gives the decision that all held emails of the replay are sent.
	ReplayIntent(ctx context.Context, id int64) (int64, error)
	ReplayControl(ctx context.Context, id int64) (state contract.ReplayState, rate float64, fence int64, err error)
	ControlReplay(ctx context.Context, in contract.ReplayControlInput) (*ledger.ReplayRow, error)
	ClaimReplay(ctx context.Context, r *ledger.ReplayRow, fence int64, limit int) (list []ledger.ReplayEmail, end bool, err error)
	// ClaimedReplay gives the claims that nobody wrote a result for.
	ClaimedReplay(ctx context.Context, id int64) ([]ledger.ReplayEmail, error)
	SaveReplayResults(ctx context.Context, id int64, list []ledger.ReplayResult, pace float64) error
	// TookIntent reports whether an email's decision of this intent is written down.
	TookIntent(ctx context.Context, emailID, intent int64) (bool, error)
	// DecideRefused carries an intent out about an email whose workflow cannot be
	// started. It is decision_refused where the email does not wait for it (any more).
	DecideRefused(ctx context.Context, emailID, intent int64) (contract.DecisionResult, error)
}

// EndRecorder writes the ends of several emails. It is idempotent as a StateRecorder
// is, and writes all of them or none.
type EndRecorder interface {
	RecordAll(ctx context.Context, list []contract.RecordInput) error
}

// PreviewLedger is what a dry run reads and writes besides.
type PreviewLedger interface {
	PreviewReplay(ctx context.Context, r *ledger.ReplayRow, limit int) ([]ledger.ReplayGroup, []ledger.ReplayEmail, error)
	SaveReplayPreview(ctx context.Context, id int64, p *ledger.ReplayPreview) error
	Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error)
	// Destinations lists where an email has a delivery, sorted.
	Destinations(ctx context.Context, emailID int64) ([]string, error)
}

// Course is what has become of an email's workflow.
type Course struct {
	// Running, Ended and Forced say whether it is under way, has come to its own end,
	// or was ended in another way; none of them: Temporal does not know it (any more).
	Running, Ended, Forced bool
	// Foreign says that something else than an email's workflow has the ID: nothing of
	// the above is known of the email.
	Foreign bool
	// Replay is the replay that started the latest run, 0 for none.
	Replay int64
}

// Courses reaches the workflows of emails. Its errors are faults:
// temporal_unavailable where nobody answered in time.
type Courses interface {
	// Decide sends a decision to the running workflow and waits until it was taken.
	// An intent that comes again is taken once. No workflow that runs is not_found, a
	// decision that it did not take decision_refused.
	Decide(ctx context.Context, workflowID string, d contract.Decision) (contract.DecisionResult, error)
	// Taken gives what a workflow, also one that has ended, answered to an intent; false
	// says that it has not taken it. It sends nothing.
	Taken(ctx context.Context, workflowID string, intent int64) (contract.DecisionResult, bool, error)
	// Start carries an email once more. A workflow that runs under its ID already is
	// decision_refused.
	Start(ctx context.Context, e *ledger.ReplayEmail, again contract.Replayed) error
	Course(ctx context.Context, workflowID string) (Course, error)
	// Healthy reports whether Temporal answers at all.
	Healthy(ctx context.Context) bool
}

// ReplaysDeps is what Replays needs; all of it is required but Now.
type ReplaysDeps struct {
	Ledger  ReplayLedger
	Preview PreviewLedger
	Ends    EndRecorder
	Courses Courses
	Store   *Store // reads raw mail as it would be stored today
	Message MessageReader
	Rules   Router
	Now     func() time.Time // nil: time.Now
}

// Replays carries replays and decisions about many emails out, part by part.
type Replays struct{ deps ReplaysDeps }

// NewReplays checks that nothing is missing.
func NewReplays(deps ReplaysDeps) (*Replays, error) {
	if deps.Ledger == nil || deps.Preview == nil || deps.Ends == nil || deps.Courses == nil || deps.Store == nil || deps.Message == nil || deps.Rules == nil {
		return nil, errors.New("replays: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Replays{deps: deps}, nil
}

// ControlReplay moves a replay to another state, or gives it another rate. It is
// idempotent; a replay that has come to its end is decision_refused.
func (s *Replays) ControlReplay(ctx context.Context, in contract.ReplayControlInput) (out contract.ReplayProgress, err error) {
	defer settle(ctx, contract.Email{}, &err)

	r, err := s.deps.Ledger.ControlReplay(ctx, in)
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
// the replay's number where they arrive.
func (s *Replays) ReplayChunk(ctx context.Context, in contract.ReplayChunkInput) (out contract.ReplayChunkResult, err error) {
	defer settle(ctx, contract.Email{}, &err)
	defer beat(ctx, 0)()

	row, fence, err := s.deps.Ledger.TakeReplay(ctx, in.ID)
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
		stop: make(chan struct{}), pace: row.Pace, ends: endGroup{write: s.deps.Ends.RecordAll},
	}
	if c.intent, err = s.intent(ctx, row); err != nil {
		return out, err
	}
	end, err := c.run(ctx)
	if err != nil {
		return out, err
	}
	out.DueUnixMicro = c.pacer.mark()
	if end {
		row, err = s.deps.Ledger.ControlReplay(ctx, contract.ReplayControlInput{ID: in.ID, State: contract.ReplayDone})
	} else {
		row, err = s.deps.Ledger.Replay(ctx, in.ID)
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

// intent gives the decision that held emails are sent.
func (s *Replays) intent(ctx context.Context, row *ledger.ReplayRow) (int64, error) {
	id, err := s.deps.Ledger.ReplayIntent(ctx, row.ID)
	if err != nil {
		return 0, fmt.Errorf("write intent: %w", err)
	}
	return id, nil
}
