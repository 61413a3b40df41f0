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
	untoldAge  = 2 * time.Minute // whoever claimed the email may be at work before that
	untoldMost = 1000
	untoldTime = 2 * time.Minute // of one look
)

// tellEnds looks after emails that a decision about many may have ended without the
// ledger having heard of it: its worker was killed in between, and then it was
// paused, stopped or terminated; or nobody knew in time what had become of it.
func (s *Tending) tellEnds(ctx context.Context) error {
	list, err := s.deps.Ledger.UntoldEnds(ctx, untoldAge, untoldMost)
	if err != nil {
		return fmt.Errorf("list claims: %w", err)
	}
	end := s.deps.Now().Add(untoldTime)
	var failures []error
	for _, u := range list {
		if ctx.Err() != nil || s.deps.Now().After(end) {
			break
		}
		err := s.tellEnd(ctx, u)
		if err == nil {
			continue
		}
		failures = append(failures, fmt.Errorf("look after email %d of replay %d: %w", u.EmailID, u.ReplayID, err))
		if fault.Is(err, fault.StorageUnavailable) || !s.deps.Courses.Healthy(ctx) {
			break
		}
	}
	return errors.Join(failures...)
}

func (s *Tending) tellEnd(ctx context.Context, u ledger.UntoldEnd) error {
	result, known, err := s.outcome(ctx, u)
	if err != nil || !known {
		return err
	}
	result.EmailID = u.EmailID
	return s.deps.Ledger.SaveReplayResults(ctx, u.ReplayID, []ledger.ReplayResult{result}, 0)
}

// outcome finds out what has become of a claim, and tells the ledger of an end that it
// has not heard of. False says that nothing can be said of it.
func (s *Tending) outcome(ctx context.Context, u ledger.UntoldEnd) (result ledger.ReplayResult, known bool, err error) {
	if u.Told {
		return decidedNow(), true, nil
	}
	answer, taken, err := s.deps.Courses.Taken(ctx, u.WorkflowID, u.Intent)
	switch {
	case err != nil:
		return result, false, err
	case taken && answer.Record != nil:
		err = s.deps.Ends.RecordAll(ctx, []contract.RecordInput{*answer.Record})
		return decidedNow(), err == nil, err
	case taken: // the workflow itself tells
		return decidedNow(), true, nil
	case !u.Over: // its turn comes
		return result, false, nil
	}
	course, err := s.deps.Courses.Course(ctx, u.WorkflowID)
	if err != nil || course == (Course{}) || course.Foreign { // Temporal, which knew it, could have forgotten its answer
		return result, false, err
	}
	return passedOver(ledger.ItemRefused, "the replay was over before its workflow took the decision"), true, nil
}
