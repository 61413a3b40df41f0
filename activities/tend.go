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

// How what was away is brought back.
const (
	// recoveryRate is how many emails per second are let go once a canary is through.
	recoveryRate = 20
	// canaryWait is how long one look waits for the canary; the next look goes on.
	canaryWait = 10 * time.Second
	canaryLook = 300 * time.Millisecond
	// canaryLease is how long a canary may be on its way before its workflow is looked
	// for, and canaryLongest how long at all: one that never comes to an end must not
	// keep the others from being brought back.
	canaryLease   = time.Minute
	canaryLongest = 15 * time.Minute
	// idleReplay is how long a replay that should run may be idle before its workflow
	// is started (again).
	idleReplay = 30 * time.Second
	// sampleAge is how long the sample of a dry run is kept.
	sampleAge = 24 * time.Hour
)

// backoff is the wait after so many canaries in vain.
var backoff = []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}

// TendLedger is what Tending reads and writes of the ledger about what was away.
type TendLedger interface {
	// HeldAway gives the causes that hold emails and that no replay takes care of.
	HeldAway(ctx context.Context) ([]ledger.Held, error)
	Canary(ctx context.Context, h ledger.Held, skip int64) (ledger.ReplayEmail, bool, error)
	EmailState(ctx context.Context, id int64) (contract.State, contract.Reason, error)
	EmailWorkflow(ctx context.Context, id int64) (workflowID string, err error)
	Recovery(ctx context.Context, cause string) (ledger.Recovery, error)
	SaveRecovery(ctx context.Context, r ledger.Recovery) error
	CreateIntent(ctx context.Context, in ledger.Intent) (int64, error)
	CreateReplay(ctx context.Context, in ledger.NewReplay) (id int64, created bool, err error)
	IdleReplays(ctx context.Context, idle time.Duration) ([]ledger.ReplayRow, error)
	// UntoldEnds gives claims without a result of decisions about many that would end
	// their emails, where both the claim and the end of the replay are older than age.
	UntoldEnds(ctx context.Context, age time.Duration, limit int) ([]ledger.UntoldEnd, error)
	SaveReplayResults(ctx context.Context, id int64, list []ledger.ReplayResult, pace float64) error
	// ControlReplay moves a replay that has not ended to another state.
	ControlReplay(ctx context.Context, in contract.ReplayControlInput) (*ledger.ReplayRow, error)
}

// PurgeLedger is what Tending reads and writes about content that goes.
type PurgeLedger interface {
	RemoveContent(ctx context.Context, before time.Time, limit int) (int64, error)
	// BeginRemoval returns objects that no email has, marked so that none comes to have
	// one until EndRemoval, or CancelRemoval where the removal was not tried.
	BeginRemoval(ctx context.Context, limit int) ([]ledger.UnwantedObject, error)
	EndRemoval(ctx context.Context, o ledger.UnwantedObject) error
	CancelRemoval(ctx context.Context, list []ledger.UnwantedObject) error
	ForgetRemovals(ctx context.Context, age time.Duration) error
	ForgetSamples(ctx context.Context, age time.Duration) error
}

// ObjectRemover removes objects; one that is not there is no error.
type ObjectRemover interface {
	Remove(ctx context.Context, o ledger.UnwantedObject) error
}

// ReplayStarter starts the workflow of a replay; one that runs is success. It is
// decision_refused where another workflow has its ID or it was ended by force.
type ReplayStarter interface {
	StartReplay(ctx context.Context, id int64, dryRun bool) error
}

// TendConfig is the policy.
type TendConfig struct {
	// RemoveContent takes the content from discarded emails, RemoveAfter after the decision.
	RemoveContent bool
	RemoveAfter   time.Duration
}

// TendDeps is what Tending needs; all of it is required but Now.
type TendDeps struct {
	Ledger  TendLedger
	Purge   PurgeLedger
	Ends    EndRecorder
	Objects ObjectRemover
	Courses Courses
	Replays ReplayStarter
	// Ready asks what was away by the reason it holds emails for; nil: only a canary tells.
	Ready map[contract.Reason]func(context.Context) error
	Now   func() time.Time // nil: time.Now
}

// Tending looks after what nobody asks for.
type Tending struct {
	config TendConfig
	deps   TendDeps
}

// NewTending checks that nothing is missing.
func NewTending(c TendConfig, deps TendDeps) (*Tending, error) {
	if deps.Ledger == nil || deps.Purge == nil || deps.Ends == nil || deps.Objects == nil || deps.Courses == nil || deps.Replays == nil {
		return nil, errors.New("tending: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Tending{config: c, deps: deps}, nil
}

// StartReplays starts the workflows of replays that should run and do not: Temporal
// was away when they were asked for. A replay whose workflow cannot be started, because
// another one has its ID or it was ended by force, fails in the ledger: it would seem
// to run for ever, and keep the recovery of its cause from beginning again. And it tells
// the ledger which emails have ended in replays that came to no proper end themselves.
// It is idempotent.
func (s *Tending) StartReplays(ctx context.Context, _ contract.MaintenanceInput) (out contract.MaintenanceResult, err error) {
	defer settle(ctx, contract.Email{}, &err)
	defer beat(ctx, 0)()

	rows, err := s.deps.Ledger.IdleReplays(ctx, idleReplay)
	if err != nil {
		return out, fmt.Errorf("list idle replays: %w", err)
	}
	var failures []error
	for _, r := range rows {
		err := s.deps.Replays.StartReplay(ctx, r.ID, r.DryRun)
		switch {
		case err == nil:
			out.Started++
		case fault.Is(err, fault.DecisionRefused):
			failures = append(failures, s.failReplay(ctx, r.ID, err))
		default:
			return out, fmt.Errorf("start replay: %w", err)
		}
	}
	return out, errors.Join(append(failures, s.tellEnds(ctx))...)
}

// failReplay ends a replay in the ledger whose workflow cannot be started. One that has
// ended meanwhile stays as it is.
func (s *Tending) failReplay(ctx context.Context, id int64, cause error) error {
	_, err := s.deps.Ledger.ControlReplay(ctx, contract.ReplayControlInput{ID: id, State: contract.ReplayFailed})
	if err != nil && !fault.Is(err, fault.DecisionRefused) {
		return fmt.Errorf("end replay %d: %w", id, err)
	}
	if activity.IsActivity(ctx) {
		activity.GetLogger(ctx).Error("replay failed: its workflow cannot be started", "replay", id, "error", cause)
	}
	return nil
}

// ReleaseRecovered lets emails go that are held because something was away, once it is
// back: where it can be asked it is asked first; then one email, the canary, is let go;
// when that is through, the rest follow at a moderate rate, as a replay that anybody
// can watch, pause and stop. A repeat goes on where the one before was.
func (s *Tending) ReleaseRecovered(ctx context.Context, _ contract.MaintenanceInput) (out contract.MaintenanceResult, err error) {
	defer settle(ctx, contract.Email{}, &err)
	defer beat(ctx, 0)()

	causes, err := s.deps.Ledger.HeldAway(ctx)
	if err != nil {
		return out, fmt.Errorf("list what was away: %w", err)
	}
	out.Causes = len(causes)
	var failures []error
	for _, h := range causes {
		back, err := s.releaseAfter(ctx, h)
		if err != nil { // another cause may fare better
			failures = append(failures, fmt.Errorf("bring back after %s: %w", h.Cause, err))
		}
		if back {
			out.Released++
		}
	}
	return out, errors.Join(failures...)
}

func (s *Tending) releaseAfter(ctx context.Context, h ledger.Held) (back bool, err error) {
	r, err := s.deps.Ledger.Recovery(ctx, h.Cause)
	if err != nil {
		return false, err
	}
	if r.Canary == 0 {
		if s.deps.Now().Before(r.NextAt) {
			return false, nil
		}
		if ready := s.deps.Ready[h.Reason]; ready != nil && ready(ctx) != nil {
			return false, nil
		}
		if sent, err := s.sendCanary(ctx, h, &r); err != nil || !sent {
			return false, err
		}
	}
	for end := s.deps.Now().Add(canaryWait); ; {
		through, over, err := s.lookAt(ctx, h, &r)
		if err != nil {
			return false, err
		}
		if through {
			return true, s.release(ctx, h, &r)
		}
		if over || s.deps.Now().After(end) {
			return false, nil
		}
		if err := wait(ctx, canaryLook); err != nil {
			return false, fmt.Errorf("wait for the canary: %w", err)
		}
	}
}

// sendCanary lets one email go. After each that was in vain it is another one: what
// keeps an email may be its own.
func (s *Tending) sendCanary(ctx context.Context, h ledger.Held, r *ledger.Recovery) (bool, error) {
	e, found, err := s.deps.Ledger.Canary(ctx, h, int64(r.Failures)%max(h.Count, 1))
	if err != nil || !found {
		return false, err
	}
	intent, err := s.deps.Ledger.CreateIntent(ctx, ledger.Intent{
		EmailID: e.ID, Action: contract.Retry, Actor: contract.ActorSystem, Via: contract.ViaSystem, Note: "to see whether it is back: " + h.Cause,
	})
	if err != nil {
		return false, fmt.Errorf("write intent: %w", err)
	}
	r.Canary, r.TriedAt = e.ID, s.deps.Now()
	_, err = s.deps.Courses.Decide(ctx, e.WorkflowID, contract.Decision{Intent: intent})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.DecisionRefused) {
		return false, s.inVain(ctx, r)
	}
	if err != nil {
		return false, fmt.Errorf("let the canary go: %w", err)
	}
	return true, s.deps.Ledger.SaveRecovery(ctx, *r)
}

// lookAt sees what has become of the canary. over says that it is held again, or will
// not come to an end; while it is on its way neither holds.
func (s *Tending) lookAt(ctx context.Context, h ledger.Held, r *ledger.Recovery) (through, over bool, err error) {
	state, reason, err := s.deps.Ledger.EmailState(ctx, r.Canary)
	switch {
	case fault.Is(err, fault.NotFound):
		return false, true, s.inVain(ctx, r)
	case err != nil:
		return false, false, err
	case state == contract.Processing || state == contract.Retrying:
		lost, err := s.lost(ctx, r)
		if err != nil || !lost {
			return false, false, err
		}
		return false, true, s.inVain(ctx, r)
	case state == contract.Quarantined && reason == h.Reason:
		return false, true, s.inVain(ctx, r)
	}
	return true, true, nil
}

// lost reports whether a canary that is on its way is given up: its workflow was ended
// by force, or it takes too long.
func (s *Tending) lost(ctx context.Context, r *ledger.Recovery) (bool, error) {
	switch took := s.deps.Now().Sub(r.TriedAt); {
	case took < canaryLease:
		return false, nil
	case took >= canaryLongest:
		return true, nil
	}
	id, err := s.deps.Ledger.EmailWorkflow(ctx, r.Canary)
	if err != nil {
		return false, fmt.Errorf("find the canary: %w", err)
	}
	course, err := s.deps.Courses.Course(ctx, id)
	if err != nil {
		return false, fmt.Errorf("look for the canary's workflow: %w", err)
	}
	return !course.Running && !course.Ended, nil
}

func (s *Tending) inVain(ctx context.Context, r *ledger.Recovery) error {
	wait := backoff[min(r.Failures, len(backoff)-1)]
	r.Canary, r.NextAt = 0, s.deps.Now().Add(wait)
	r.Failures++
	return s.deps.Ledger.SaveRecovery(ctx, *r)
}

// release lets the rest go.
func (s *Tending) release(ctx context.Context, h ledger.Held, r *ledger.Recovery) error {
	id, _, err := s.deps.Ledger.CreateReplay(ctx, ledger.NewReplay{
		Action: contract.Retry, Cause: h.Cause, Rate: recoveryRate,
		Filter: ledger.Filter{State: contract.Quarantined, Reason: h.Reason, Destination: h.Destination},
		Note:   "it is back: " + h.Cause, Actor: contract.ActorSystem, Via: contract.ViaSystem,
	})
	if err != nil && !fault.Is(err, fault.DecisionRefused) {
		return fmt.Errorf("create replay: %w", err)
	}
	if err == nil { // where this fails the next tending starts it
		_ = s.deps.Replays.StartReplay(ctx, id, false)
	}
	r.Canary, r.Failures, r.NextAt = 0, 0, s.deps.Now().Add(backoff[0])
	return s.deps.Ledger.SaveRecovery(ctx, *r)
}
