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

const (
	untoldAge  = time.Minute // whoever claimed the email is still at work before that
	untoldMost = 1000
)

// tellEnds looks after emails that a decision about many may have ended without the
// ledger having heard of it: its worker was killed in between, and then it was
// paused, stopped or terminated.
func (s *Tending) tellEnds(ctx context.Context) error {
	list, err := s.deps.Ledger.UntoldEnds(ctx, untoldAge, untoldMost)
	if err != nil {
		return fmt.Errorf("list claims: %w", err)
	}
	var failures []error
	for _, u := range list {
		if err := s.tellEnd(ctx, u); err != nil {
			failures = append(failures, fmt.Errorf("look after email %d of replay %d: %w", u.EmailID, u.ReplayID, err))
			if fault.Is(err, fault.TemporalUnavailable) || fault.Is(err, fault.StorageUnavailable) || ctx.Err() != nil {
				break
			}
		}
	}
	return errors.Join(failures...)
}

func (s *Tending) tellEnd(ctx context.Context, u ledger.UntoldEnd) error {
	answer, taken, err := s.deps.Courses.Taken(ctx, u.WorkflowID, u.Intent)
	if err != nil {
		return err
	}
	result := decidedNow()
	switch {
	case taken && answer.Record != nil:
		if err := s.deps.Ends.RecordAll(ctx, []contract.RecordInput{*answer.Record}); err != nil {
			return err
		}
	case taken: // the workflow itself tells
	case !u.Over: // its turn comes
		return nil
	default:
		result = passedOver(ledger.ItemRefused, "the replay was over before its turn came")
	}
	result.EmailID = u.EmailID
	return s.deps.Ledger.SaveReplayResults(ctx, u.ReplayID, []ledger.ReplayResult{result}, 0)
}
