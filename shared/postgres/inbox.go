package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
)

// ClaimWaiting hands out up to limit rows that nobody has started and nobody
// holds a claim on, oldest first, and claims them for lease. No row is handed to
// two callers while its lease lasts.
func (db *DB) ClaimWaiting(ctx context.Context, limit int, lease time.Duration) ([]Waiting, error) {
	const query = `
WITH next AS MATERIALIZED (
    SELECT email_id FROM inbox
     WHERE started_at IS NULL AND (claimed_until IS NULL OR claimed_until < now())
     ORDER BY email_id LIMIT @limit FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE inbox i SET claimed_until = now() + @lease::interval
      FROM next WHERE i.email_id = next.email_id
    RETURNING i.email_id, i.hold_reason, i.hold_detail
)
SELECT e.id, e.workflow_id, e.source, e.event_id, e.tenant, e.correlation_id, e.size, e.received_at,
       c.hold_reason, c.hold_detail
  FROM claimed c JOIN emails e ON e.id = c.email_id
 ORDER BY e.id`

	rows, err := db.pool.Query(ctx, query, pgx.NamedArgs{"limit": limit, "lease": lease})
	if err != nil {
		return nil, classify("claim waiting emails", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Waiting, error) {
		var w Waiting
		var hold contract.Hold
		err := row.Scan(&w.Email.ID, &w.Email.WorkflowID, &w.Email.Source, &w.Email.EventID, &w.Email.Tenant,
			&w.Email.CorrelationID, &w.Email.Size, &w.ReceivedAt, &hold.Reason, &hold.Detail)
		if hold.Reason != "" {
			w.Hold = &hold
		}
		return w, err
	})
	return out, classify("claim waiting emails", err)
}

// MarkStarted takes rows out of the reach of sweeps for good. A row that is gone
// or marked already is no error: the store step may have been faster.
func (db *DB) MarkStarted(ctx context.Context, ids []int64) error {
	const query = `UPDATE inbox SET started_at = now() WHERE email_id = ANY(@ids::bigint[]) AND started_at IS NULL`

	_, err := db.pool.Exec(ctx, query, pgx.NamedArgs{"ids": ids})
	return classify("mark emails started", err)
}

// ReleaseClaims gives rows back that could not be started: sweeps may take them
// once after has passed. Rows that are started or gone stay as they are.
func (db *DB) ReleaseClaims(ctx context.Context, ids []int64, after time.Duration) error {
	const query = `
UPDATE inbox SET claimed_until = now() + @after::interval WHERE email_id = ANY(@ids::bigint[]) AND started_at IS NULL`

	_, err := db.pool.Exec(ctx, query, pgx.NamedArgs{"ids": ids, "after": after})
	return classify("release claims", err)
}

// InboxDepth counts the rows that nobody has started, claimed ones included, and
// says how long the oldest has been waiting (0 when there is none).
func (db *DB) InboxDepth(ctx context.Context) (waiting int64, oldest time.Duration, err error) {
	const query = `
SELECT count(*), coalesce(clock_timestamp() - min(accepted_at), interval '0') FROM inbox WHERE started_at IS NULL`

	err = db.pool.QueryRow(ctx, query).Scan(&waiting, &oldest)
	return waiting, max(oldest, 0), classify("measure inbox", err)
}

// CountAhead counts the rows that were started within the last half minute and
// that no worker has stored yet: how far starts are ahead of the workers. It looks
// at the oldest limit rows and no further, so that a long inbox costs nothing.
func (db *DB) CountAhead(ctx context.Context, limit int) (int, error) {
	const query = `
SELECT count(*) FROM (SELECT started_at FROM inbox ORDER BY email_id LIMIT @limit) oldest
 WHERE started_at > now() - interval '30 seconds'`

	var n int
	err := db.pool.QueryRow(ctx, query, pgx.NamedArgs{"limit": limit}).Scan(&n)
	return n, classify("count started emails", err)
}
