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

// How emails are released that an outage holds.
const (
	// recoveryRate is how many emails per second are released once a canary is through.
	recoveryRate = 20
	// canaryWait is how long one run waits for the canary; the next run continues.
	canaryWait  = 10 * time.Second
	canaryPause = 300 * time.Millisecond
	// canaryLease is how long a canary may take before its workflow is looked for, and
	// canaryLongest how long at all: one that never comes to an end must not keep the
	// others held.
	canaryLease   = time.Minute
	canaryLongest = 15 * time.Minute
)

// canaryBackoff is the wait after so many canaries in vain.
var canaryBackoff = []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute}

// OutageLedger finds emails that an outage holds.
type OutageLedger interface {
	// ListOutages returns the causes that hold emails and that no replay takes care of.
	ListOutages(ctx context.Context) ([]ledger.Held, error)
	// Canary returns the email of a cause after the first skip ones; false: there is none.
	Canary(ctx context.Context, h ledger.Held, skip int64) (ledger.ReplayEmail, bool, error)
}

// RecoveryLedger keeps how far the recovery of a cause is.
type RecoveryLedger interface {
	Recovery(ctx context.Context, cause string) (ledger.Recovery, error)
	SaveRecovery(ctx context.Context, r ledger.Recovery) error
}

// EmailStates reads where an email is.
type EmailStates interface {
	EmailState(ctx context.Context, id int64) (contract.State, contract.Reason, error)
	EmailWorkflow(ctx context.Context, id int64) (workflowID string, err error)
}

// DecisionLedger writes decisions down before they are sent.
type DecisionLedger interface {
	CreateIntent(ctx context.Context, in ledger.Intent) (int64, error)
	CreateReplay(ctx context.Context, in ledger.NewReplay) (id int64, created bool, err error)
}

// RecoveryDeps is what Recovery needs; all of it is required but Ready and Now.
type RecoveryDeps struct {
	Outages    OutageLedger
	Recoveries RecoveryLedger
	Emails     EmailStates
	Decisions  DecisionLedger
	Decider    Decider
	Executions Executions
	Starter    ReplayStarter
	// Ready checks a dependency, by the reason that its outage holds emails for. Where
	// there is no check, only a canary shows whether the dependency has recovered.
	Ready map[contract.Reason]func(context.Context) error
	Now   func() time.Time // nil: time.Now
}

// Recovery releases emails that an outage holds.
type Recovery struct{ deps RecoveryDeps }

// NewRecovery checks that nothing is missing.
func NewRecovery(deps RecoveryDeps) (*Recovery, error) {
	if deps.Outages == nil || deps.Recoveries == nil || deps.Emails == nil || deps.Decisions == nil ||
		deps.Decider == nil || deps.Executions == nil || deps.Starter == nil {
		return nil, errors.New("recovery: a dependency is missing")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Recovery{deps: deps}, nil
}

// ReleaseRecovered releases emails that an outage holds, once the dependency has
// recovered: where it can be checked it is checked first; then one email, the canary, is
// released; when that is through, the rest follow at a moderate rate, as a replay that can
// be watched, paused and stopped. It is idempotent on the recovery that the ledger keeps
// for each cause: a repeat continues where the run before it was.
func (s *Recovery) ReleaseRecovered(ctx context.Context, _ contract.MaintenanceInput) (out contract.MaintenanceResult, err error) {
	defer translateError(ctx, contract.Email{}, &err)
	defer startHeartbeat(ctx, 0)()

	causes, err := s.deps.Outages.ListOutages(ctx)
	if err != nil {
		return out, fmt.Errorf("list emails held by outages: %w", err)
	}

	out.Causes = len(causes)
	var failures []error
	for _, h := range causes {
		released, err := s.releaseCause(ctx, h)
		if err != nil { // another cause may fare better
			failures = append(failures, fmt.Errorf("release after %s: %w", h.Cause, err))
		}
		if released {
			out.Released++
		}
	}
	return out, errors.Join(failures...)
}

// releaseCause continues the recovery of one cause, and reports whether that is complete.
func (s *Recovery) releaseCause(ctx context.Context, h ledger.Held) (released bool, err error) {
	r, err := s.deps.Recoveries.Recovery(ctx, h.Cause)
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
		through, over, err := s.checkCanary(ctx, h, &r)
		if err != nil {
			return false, err
		}
		if through {
			return true, s.releaseRest(ctx, h, &r)
		}
		if over || s.deps.Now().After(end) {
			return false, nil
		}
		if err := wait(ctx, canaryPause); err != nil {
			return false, fmt.Errorf("wait for the canary: %w", err)
		}
	}
}

// sendCanary releases one email. After each canary in vain it is another one: what holds
// an email may be its own.
func (s *Recovery) sendCanary(ctx context.Context, h ledger.Held, r *ledger.Recovery) (bool, error) {
	e, found, err := s.deps.Outages.Canary(ctx, h, int64(r.Failures)%max(h.Count, 1))
	if err != nil || !found {
		return false, err
	}
	intent, err := s.deps.Decisions.CreateIntent(ctx, ledger.Intent{
		EmailID: e.ID, State: contract.Quarantined, Action: contract.Retry, Actor: contract.ActorSystem, Via: contract.ViaSystem, Note: "to see whether it has recovered: " + h.Cause,
	})
	if err != nil {
		return false, fmt.Errorf("write intent: %w", err)
	}

	r.Canary, r.TriedAt = e.ID, s.deps.Now()
	_, err = s.deps.Decider.Decide(ctx, e.WorkflowID, contract.Decision{Intent: intent})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.DecisionRefused) {
		return false, s.saveFailure(ctx, r)
	}
	if err != nil {
		return false, fmt.Errorf("release the canary: %w", err)
	}
	return true, s.deps.Recoveries.SaveRecovery(ctx, *r)
}

// checkCanary reports what has become of the canary: through says that the dependency
// has recovered, over that the canary is held again or will not come to an end. While it
// is being processed both are false.
func (s *Recovery) checkCanary(ctx context.Context, h ledger.Held, r *ledger.Recovery) (through, over bool, err error) {
	state, reason, err := s.deps.Emails.EmailState(ctx, r.Canary)
	switch {
	case fault.Is(err, fault.NotFound):
		return false, true, s.saveFailure(ctx, r)
	case err != nil:
		return false, false, err
	case state == contract.Processing || state == contract.Retrying:
		lost, err := s.canaryLost(ctx, r)
		if err != nil || !lost {
			return false, false, err
		}
		return false, true, s.saveFailure(ctx, r)
	case state == contract.Quarantined && reason == h.Reason:
		return false, true, s.saveFailure(ctx, r)
	}
	return true, true, nil
}

// canaryLost reports whether a canary that is being processed is given up: its workflow
// was ended by force, or it takes too long.
func (s *Recovery) canaryLost(ctx context.Context, r *ledger.Recovery) (bool, error) {
	switch took := s.deps.Now().Sub(r.TriedAt); {
	case took < canaryLease:
		return false, nil
	case took >= canaryLongest:
		return true, nil
	}

	id, err := s.deps.Emails.EmailWorkflow(ctx, r.Canary)
	if err != nil {
		return false, fmt.Errorf("find the canary: %w", err)
	}
	execution, err := s.deps.Executions.Execution(ctx, id)
	if err != nil {
		return false, fmt.Errorf("look for the canary's workflow: %w", err)
	}
	return !execution.Running && !execution.Ended, nil
}

// saveFailure records that a canary was in vain, and when the next one is due.
func (s *Recovery) saveFailure(ctx context.Context, r *ledger.Recovery) error {
	wait := canaryBackoff[min(r.Failures, len(canaryBackoff)-1)]
	r.Canary, r.NextAt = 0, s.deps.Now().Add(wait)
	r.Failures++
	return s.deps.Recoveries.SaveRecovery(ctx, *r)
}

// releaseRest releases all other emails of a cause.
func (s *Recovery) releaseRest(ctx context.Context, h ledger.Held, r *ledger.Recovery) error {
	id, _, err := s.deps.Decisions.CreateReplay(ctx, ledger.NewReplay{
		Action: contract.Retry, Cause: h.Cause, Rate: recoveryRate,
		Filter: ledger.Filter{State: contract.Quarantined, Reason: h.Reason, Destination: h.Destination},
		Note:   "it has recovered: " + h.Cause, Actor: contract.ActorSystem, Via: contract.ViaSystem,
	})
	if err != nil && !fault.Is(err, fault.DecisionRefused) {
		return fmt.Errorf("create replay: %w", err)
	}
	if err == nil { // where this fails the next maintenance starts it
		_ = s.deps.Starter.StartReplay(ctx, id, false)
	}

	r.Canary, r.Failures, r.NextAt = 0, 0, s.deps.Now().Add(canaryBackoff[0])
	return s.deps.Recoveries.SaveRecovery(ctx, *r)
}
