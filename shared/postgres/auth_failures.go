package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/ledger"
)

// AuthFailures counts webhook calls whose verification failed.
type AuthFailures struct {
	pool *pgxpool.Pool
}

// NewAuthFailures returns the store on db's connections.
func NewAuthFailures(db *DB) *AuthFailures { return &AuthFailures{pool: db.pool} }

// pruneBatch is how many rows one statement of a pruning deletes.
const pruneBatch = 5000

// SaveVerificationFailures adds the counts of rows to what is kept, in one
// statement, all or nothing. Unlike other writes it may not be repeated freely:
// after an error whose outcome is unknown a repeat may count twice, but loses
// nothing. Rows of one hour and cause are added up; hours are cut to full ones.
func (s *AuthFailures) SaveVerificationFailures(ctx context.Context, rows []ledger.VerificationFailure) error {
	// The order is that of the key, so that two ingresses cannot lock each other.
	const query = `
INSERT INTO verification_failures AS kept (hour, source, scheme, code, address, count, first_at, last_at)
SELECT hour, source, scheme, code, address, sum(count)::bigint, min(first_at), max(last_at)
  FROM unnest(@hours::timestamptz[], @sources::text[], @schemes::text[], @codes::text[], @addresses::text[],
              @counts::bigint[], @firsts::timestamptz[], @lasts::timestamptz[])
       AS given (hour, source, scheme, code, address, count, first_at, last_at)
 GROUP BY hour, source, scheme, code, address
 ORDER BY hour, source, scheme, code, address
    ON CONFLICT (hour, source, scheme, code, address) DO UPDATE
   SET count = kept.count + excluded.count,
       first_at = least(kept.first_at, excluded.first_at), last_at = greatest(kept.last_at, excluded.last_at)`

	if len(rows) == 0 {
		return nil
	}
	var (
		hours, firsts, lasts               = make([]time.Time, len(rows)), make([]time.Time, len(rows)), make([]time.Time, len(rows))
		sources, schemes, codes, addresses = make([]string, len(rows)), make([]string, len(rows)), make([]string, len(rows)), make([]string, len(rows))
		counts                             = make([]int64, len(rows))
	)
	for i := range rows {
		r := &rows[i]
		hours[i], firsts[i], lasts[i] = r.Hour.UTC().Truncate(time.Hour), r.FirstAt, r.LastAt
		sources[i], schemes[i], codes[i], addresses[i] = clean(r.Source), clean(r.Scheme), clean(r.Code), clean(r.Address)
		counts[i] = r.Count
	}
	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{
		"hours": hours, "sources": sources, "schemes": schemes, "codes": codes, "addresses": addresses,
		"counts": counts, "firsts": firsts, "lasts": lasts,
	})
	return classify("save failed verifications", err)
}

// VerificationFailures gives what f chooses, the newest hour first and within it
// what happened last. The result is never nil without an error.
func (s *AuthFailures) VerificationFailures(ctx context.Context, f ledger.FailureFilter) ([]ledger.VerificationFailure, error) {
	const query = `
SELECT hour, source, scheme, code, address, count, first_at, last_at
  FROM verification_failures
 WHERE hour > @since::timestamptz - interval '1 hour' AND last_at >= @since AND source = @source
 ORDER BY hour DESC, last_at DESC, scheme, code, address
 LIMIT @limit`

	limit := f.Limit
	if limit <= 0 {
		limit = ledger.DefaultFailures
	}
	rows, err := s.pool.Query(ctx, query, pgx.NamedArgs{
		"source": clean(f.Source), "since": f.Since, "limit": min(limit, ledger.MaxFailures+1),
	})
	if err != nil {
		return nil, classify("list failed verifications", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r ledger.VerificationFailure, err error) {
		err = row.Scan(&r.Hour, &r.Source, &r.Scheme, &r.Code, &r.Address, &r.Count, &r.FirstAt, &r.LastAt)
		return r, err
	})
	return list, classify("list failed verifications", err)
}

// CountVerificationFailures gives, by source and code, how many verifications
// failed. The hour in which since falls counts whole where it went on after since.
func (s *AuthFailures) CountVerificationFailures(ctx context.Context, since time.Time) (map[string]map[string]int64, error) {
	const query = `
SELECT source, code, sum(count)::bigint
  FROM verification_failures
 WHERE hour > @since::timestamptz - interval '1 hour' AND last_at >= @since
 GROUP BY source, code`

	rows, err := s.pool.Query(ctx, query, pgx.NamedArgs{"since": since})
	if err != nil {
		return nil, classify("count failed verifications", err)
	}
	out := map[string]map[string]int64{}
	var (
		source, code string
		count        int64
	)
	_, err = pgx.ForEachRow(rows, []any{&source, &code, &count}, func() error {
		if out[source] == nil {
			out[source] = map[string]int64{}
		}
		out[source][code] = count
		return nil
	})
	if err != nil {
		return nil, classify("count failed verifications", err)
	}
	return out, nil
}

// PruneVerificationFailures deletes the hours that ended before the given time,
// oldest first, in statements of bounded size, and says how many rows went. Rows
// that somebody else is writing or pruning stay for the next call.
func (s *AuthFailures) PruneVerificationFailures(ctx context.Context, before time.Time) (int64, error) {
	const query = `
DELETE FROM verification_failures
 WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM verification_failures
     WHERE hour <= @before::timestamptz - interval '1 hour'
     ORDER BY hour LIMIT @limit FOR UPDATE SKIP LOCKED))`

	var gone int64
	for {
		tag, err := s.pool.Exec(ctx, query, pgx.NamedArgs{"before": before, "limit": pruneBatch})
		if err != nil {
			return gone, classify("prune failed verifications", err)
		}
		gone += tag.RowsAffected()
		if tag.RowsAffected() < pruneBatch {
			return gone, nil
		}
	}
}
