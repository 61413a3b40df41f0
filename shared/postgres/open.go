package postgres

import (
	"context"
	"time"

	"mailroom/shared/contract"
)

// OpenEmails is how many emails are in a state that is not terminal and not
// processing, for one reason.
type OpenEmails struct {
	State  contract.State
	Reason contract.Reason
	Count  int64
}

// CountOpen counts the emails that wait, for something or for a person. It reads
// a partial index of just those.
func (s *Views) CountOpen(ctx context.Context) ([]OpenEmails, error) {
	rows, err := s.queries.CountOpen(ctx)
	if err != nil {
		return nil, classify("count open emails", err)
	}

	out := make([]OpenEmails, len(rows))
	for i, r := range rows {
		out[i] = OpenEmails(r)
	}
	return out, nil
}

// stuckAfter is how long a started email may take to be stored before it counts as stuck.
const stuckAfter = 15 * time.Minute

// CountStuck counts the inbox rows whose workflow was started long ago and has not
// stored them yet: it waits for a person or for an unavailable store, or it was
// terminated or lost together with Temporal's data.
func (s *Views) CountStuck(ctx context.Context) (int64, error) {
	n, err := s.queries.CountStuck(ctx, stuckAfter)
	return n, classify("count stuck emails", err)
}
