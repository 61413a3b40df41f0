package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

// idleReplay is how long a replay that should run may be idle before its workflow is
// started (again).
const idleReplay = 30 * time.Second

// IdleReplayLedger finds replays that should run and do not.
type IdleReplayLedger interface {
	IdleReplays(ctx context.Context, idle time.Duration) ([]ledger.ReplayRow, error)
	// ControlReplay moves a replay that has not ended to another state.
	ControlReplay(ctx context.Context, in contract.ReplayControlInput) (*ledger.ReplayRow, error)
}

// ReplayStarter starts the workflow of a replay; one that runs is success. It is
// decision_refused where another workflow has its ID or it was ended by force.
type ReplayStarter interface {
	StartReplay(ctx context.Context, id int64, dryRun bool) error
}

// ReplayStartsDeps is what ReplayStarts needs; all of it is required but Now.
type ReplayStartsDeps struct {
	Ledger     IdleReplayLedger
	Starter    ReplayStarter
	Claims     LostClaimLedger
	Ends       EndRecorder
	Decider    Decider
	Executions Executions
	Now        func() time.Time // nil: time.Now
}

// ReplayStarts keeps replays from being forgotten.
type ReplayStarts struct{ deps ReplayStartsDeps }

// NewReplayStarts checks that nothing is missing.
func NewReplayStarts(deps ReplayStartsDeps) (*ReplayStarts, error) {
	if deps.Ledger == nil || deps.Starter == nil || deps.Claims == nil || deps.Ends == nil || deps.Decider == nil || deps.Executions == nil {
		return nil, errors.New("replay starts: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &ReplayStarts{deps: deps}, nil
}

// StartReplays starts the workflows of replays that should run and do not: Temporal was
// unavailable when they were asked for. A replay whose workflow cannot be started,
// because another one has its ID or it was ended by force, fails in the ledger: else it
// would seem to run for ever, and keep the recovery of its cause from beginning again.
// Then it records which emails have ended in replays that came to no proper end
// themselves. It is idempotent on what the ledger says of each replay and claim.
func (s *ReplayStarts) StartReplays(ctx context.Context, _ contract.MaintenanceInput) (out contract.MaintenanceResult, err error) {
	defer translateError(ctx, contract.Email{}, &err)
	defer startHeartbeat(ctx, 0)()

	rows, err := s.deps.Ledger.IdleReplays(ctx, idleReplay)
	if err != nil {
		return out, fmt.Errorf("list idle replays: %w", err)
	}

	var failures []error
	for _, r := range rows {
		err := s.deps.Starter.StartReplay(ctx, r.ID, r.DryRun)
		switch {
		case err == nil:
			out.Started++
		case fault.Is(err, fault.DecisionRefused):
			failures = append(failures, s.failReplay(ctx, r.ID, err))
		default:
			return out, fmt.Errorf("start replay: %w", err)
		}
	}
	return out, errors.Join(append(failures, s.recordLostEnds(ctx))...)
}

// failReplay ends a replay in the ledger whose workflow cannot be started. One that has
// ended meanwhile stays as it is.
func (s *ReplayStarts) failReplay(ctx context.Context, id int64, cause error) error {
	_, err := s.deps.Ledger.ControlReplay(ctx, contract.ReplayControlInput{ID: id, State: contract.ReplayFailed})
	if err != nil && !fault.Is(err, fault.DecisionRefused) {
		return fmt.Errorf("end replay %d: %w", id, err)
	}
	if activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Error("replay failed: its workflow cannot be started", "replay", id, "error", cause)
	}
	return nil
}
