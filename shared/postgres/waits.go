package postgres

import (
	"context"
	"time"
)

// Waited returns how long emails that have come to their end waited for people; those
// that did not wait are not in it.
func (s *Emails) Waited(ctx context.Context, ids []int64) (map[int64]time.Duration, error) {
	rows, err := s.queries.WaitedOf(ctx, ids)
	if err != nil {
		return nil, classify("read how long emails waited for people", err)
	}

	out := make(map[int64]time.Duration, len(rows))
	for _, r := range rows {
		out[r.ID] = time.Duration(r.WaitedMs) * time.Millisecond
	}
	return out, nil
}
