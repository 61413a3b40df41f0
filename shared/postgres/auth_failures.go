package postgres

import (
	"context"
	"time"

	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// AuthFailures counts webhook calls whose verification failed.
type AuthFailures struct {
	queries *dbsqlc.Queries
}

// NewAuthFailures returns the store on db's connections.
func NewAuthFailures(db *DB) *AuthFailures { return &AuthFailures{queries: dbsqlc.New(db.pool)} }

// pruneBatch is how many rows one statement of a pruning deletes.
const pruneBatch = 5000

// SaveVerificationFailures adds the counts of rows to what is kept, in one
// statement, all or nothing. Unlike other writes it may not be repeated freely:
// after an error whose outcome is unknown a repeat may count twice, but loses
// nothing. Rows of one hour and cause are added up; hours are cut to full ones.
func (s *AuthFailures) SaveVerificationFailures(ctx context.Context, rows []ledger.VerificationFailure) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	p := dbsqlc.AddAuthFailuresParams{
		Hours: make([]time.Time, n), Sources: make([]string, n), Schemes: make([]string, n), Codes: make([]string, n),
		Addresses: make([]string, n), Counts: make([]int64, n), Firsts: make([]time.Time, n), Lasts: make([]time.Time, n),
	}

	for i := range rows {
		r := &rows[i]
		p.Hours[i], p.Firsts[i], p.Lasts[i] = r.Hour.UTC().Truncate(time.Hour), r.FirstAt, r.LastAt
		p.Sources[i], p.Schemes[i], p.Codes[i], p.Addresses[i] = clean(r.Source), clean(r.Scheme), clean(r.Code), clean(r.Address)
		p.Counts[i] = r.Count
	}

	err := s.queries.AddAuthFailures(ctx, p)
	return classify("save failed verifications", err)
}

// VerificationFailures returns what f chooses, the newest hour first and within it
// what happened last. The result is never nil without an error.
func (s *AuthFailures) VerificationFailures(ctx context.Context, f ledger.FailureFilter) ([]ledger.VerificationFailure, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = ledger.DefaultFailures
	}
	rows, err := s.queries.ListAuthFailures(ctx, dbsqlc.ListAuthFailuresParams{
		Source: clean(f.Source), Since: f.Since, MaxRows: int64(min(limit, ledger.MaxFailures+1)),
	})
	if err != nil {
		return nil, classify("list failed verifications", err)
	}

	list := make([]ledger.VerificationFailure, len(rows))
	for i, r := range rows {
		list[i] = ledger.VerificationFailure{
			Hour: r.Hour, Source: r.Source, Scheme: r.Scheme, Code: r.Code, Address: r.Address, Count: r.Count,
			FirstAt: r.FirstAt, LastAt: r.LastAt,
		}
	}
	return list, nil
}

// CountVerificationFailures returns, by source and code, how many verifications
// failed. The hour in which since falls counts whole where it went on after since.
func (s *AuthFailures) CountVerificationFailures(ctx context.Context, since time.Time) (map[string]map[string]int64, error) {
	rows, err := s.queries.CountAuthFailures(ctx, since)
	if err != nil {
		return nil, classify("count failed verifications", err)
	}

	out := map[string]map[string]int64{}
	for _, r := range rows {
		if out[r.Source] == nil {
			out[r.Source] = map[string]int64{}
		}
		out[r.Source][r.Code] = r.Count
	}
	return out, nil
}

// PruneVerificationFailures deletes the hours that ended before the given time,
// oldest first, in statements of bounded size, and says how many rows went. Rows
// that another process is writing or pruning stay for the next call.
func (s *AuthFailures) PruneVerificationFailures(ctx context.Context, before time.Time) (int64, error) {
	var gone int64
	for {
		pruned, err := s.queries.PruneAuthFailures(ctx, dbsqlc.PruneAuthFailuresParams{Before: before, MaxRows: pruneBatch})
		if err != nil {
			return gone, classify("prune failed verifications", err)
		}
		gone += pruned
		if pruned < pruneBatch {
			return gone, nil
		}
	}
}
