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

// Bounds of one search for lost ends.
const (
	lostEndAge  = 2 * time.Minute // before that the worker that claimed the email may be at work
	lostEndMost = 1000
	lostEndTime = 2 * time.Minute
)

// LostClaimLedger finds claims of emails whose result was lost.
type LostClaimLedger interface {
	// UntoldEnds returns claims without a result of decisions about many that would end
	// their emails, where both the claim and the end of the replay are older than age.
	UntoldEnds(ctx context.Context, age time.Duration, limit int) ([]ledger.UntoldEnd, error)
	SaveReplayResults(ctx context.Context, id int64, list []ledger.ReplayResult, pace float64) error
}

// recordLostEnds records the ends of emails that a decision about many may have ended
// without the ledger knowing it: the worker was killed in between, and then the replay was
// paused, stopped or terminated; or Temporal did not answer in time.
func (s *ReplayStarts) recordLostEnds(ctx context.Context) error {
	list, err := s.deps.Claims.UntoldEnds(ctx, lostEndAge, lostEndMost)
	if err != nil {
		return fmt.Errorf("list claims: %w", err)
	}

	end := s.deps.Now().Add(lostEndTime)
	var failures []error
	for _, claim := range list {
		if ctx.Err() != nil || s.deps.Now().After(end) {
			break
		}
		err := s.recordLostEnd(ctx, claim)
		if err == nil {
			continue
		}
		failures = append(failures, fmt.Errorf("record the end of email %d of replay %d: %w", claim.EmailID, claim.ReplayID, err))
		if fault.Is(err, fault.StorageUnavailable) || !s.deps.Executions.Healthy(ctx) {
			break
		}
	}
	return errors.Join(failures...)
}

func (s *ReplayStarts) recordLostEnd(ctx context.Context, claim ledger.UntoldEnd) error {
	result, known, err := s.findResult(ctx, claim)
	if err != nil || !known {
		return err
	}
	result.EmailID = claim.EmailID
	return s.deps.Claims.SaveReplayResults(ctx, claim.ReplayID, []ledger.ReplayResult{result}, 0)
}

// findResult finds out what has become of a claim, and records an end that the ledger
// does not know. It returns false where nothing can be said of it.
func (s *ReplayStarts) findResult(ctx context.Context, claim ledger.UntoldEnd) (result ledger.ReplayResult, known bool, err error) {
	if claim.Told {
		return decidedNow(), true, nil
	}

	answer, taken, err := s.deps.Decider.Taken(ctx, claim.WorkflowID, claim.Intent)
	switch {
	case err != nil:
		return result, false, err
	case taken && answer.Record != nil:
		err = s.deps.Ends.RecordAll(ctx, []contract.RecordInput{*answer.Record})
		return decidedNow(), err == nil, err
	case taken: // the workflow itself records its end
		return decidedNow(), true, nil
	case !claim.Over: // the replay will come to this email
		return result, false, nil
	}

	execution, err := s.deps.Executions.Execution(ctx, claim.WorkflowID)
	if err != nil || execution == (Execution{}) || execution.Foreign { // Temporal may have forgotten the answer
		return result, false, err
	}
	return skipped(ledger.ItemRefused, "the replay was over before its workflow took the decision"), true, nil
}
