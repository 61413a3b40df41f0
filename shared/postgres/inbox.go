package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/contract"
)

// Inbox is the store of accepted events that have no workflow yet.
type Inbox struct {
	pool *pgxpool.Pool
}

// NewInbox returns the store on db's connections.
func NewInbox(db *DB) *Inbox { return &Inbox{pool: db.pool} }

// The statements of the starter do not wait for the disk (synchronous_commit is
// off for their own transaction): a claim or a mark that a crash of the server
// takes back costs one more start, which finds the workflow running.
const (
	claimWaiting = `
WITH next AS MATERIALIZED (
    SELECT email_id FROM inbox
     WHERE started_at IS NULL AND (claimed_until IS NULL OR claimed_until < now())
     ORDER BY email_id LIMIT @limit FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE inbox i SET claimed_until = now() + @lease::interval
      FROM next, (SELECT set_config('synchronous_commit', 'off', true)) AS unsynced
     WHERE i.email_id = next.email_id
    RETURNING i.email_id, i.hold_reason, i.hold_detail
)
SELECT e.id, e.workflow_id, e.source, e.event_id, e.tenant, e.correlation_id, e.size, e.received_at, e.body_sha256,
       c.hold_reason, c.hold_detail, e.state = 'retrying' AND e.reason = 'internal'
  FROM claimed c JOIN emails e ON e.id = c.email_id
 ORDER BY e.id`

	markStarted = `
UPDATE inbox SET started_at = now()
  FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unsynced
 WHERE email_id = ANY(@ids::bigint[]) AND started_at IS NULL`

	releaseClaims = `
UPDATE inbox i SET claimed_until = now() + @after::interval
  FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unsynced
 WHERE i.email_id = ANY(@ids::bigint[]) AND ` + waitingRow + ``

	inboxDepth = `
SELECT count(*), coalesce(clock_timestamp() - min(accepted_at), interval '0')
  FROM inbox i WHERE ` + waitingRow

	countAhead = `
SELECT count(*) FROM (
    (SELECT email_id, started_at FROM inbox ORDER BY email_id LIMIT @limit)
    UNION
    SELECT email_id, started_at FROM inbox WHERE email_id = ANY(@ids::bigint[])
) near
 WHERE started_at > now() - interval '30 seconds' OR email_id = ANY(@ids::bigint[])`
)

// ClaimWaiting hands out up to limit rows that nobody has started and nobody
// holds a claim on, oldest first, and claims them for lease. No row is handed to
// two callers while its lease lasts.
func (s *Inbox) ClaimWaiting(ctx context.Context, limit int, lease time.Duration) ([]Waiting, error) {
	rows, err := s.pool.Query(ctx, claimWaiting, pgx.NamedArgs{"limit": limit, "lease": lease})
	if err != nil {
		return nil, classify("claim waiting emails", err)
	}
	var hash []byte
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Waiting, error) {
		var w Waiting
		var hold contract.Hold
		err := row.Scan(&w.Email.ID, &w.Email.WorkflowID, &w.Email.Source, &w.Email.EventID, &w.Email.Tenant,
			&w.Email.CorrelationID, &w.Email.Size, &w.ReceivedAt, &hash, &hold.Reason, &hold.Detail, &w.Refused)
		copy(w.BodySHA256[:], hash)
		if hold.Reason != "" {
			w.Hold = &hold
		}
		return w, err
	})
	return out, classify("claim waiting emails", err)
}

// MarkStarted takes rows out of the reach of sweeps for good. A row that is gone
// or marked already is no error: the store step may have been faster.
func (s *Inbox) MarkStarted(ctx context.Context, ids []int64) error {
	_, err := s.pool.Exec(ctx, markStarted, pgx.NamedArgs{"ids": ids})
	return classify("mark emails started", err)
}

// ReleaseClaims gives rows back that could not be started: sweeps may take them
// once after has passed. Rows that are started, gone or refused for good stay as they are.
func (s *Inbox) ReleaseClaims(ctx context.Context, ids []int64, after time.Duration) error {
	_, err := s.pool.Exec(ctx, releaseClaims, pgx.NamedArgs{"ids": ids, "after": after})
	return classify("release claims", err)
}

// InboxDepth counts the rows that wait for their start, claimed or not, without those that
// wait for a person (RefuseStart), and returns how long the oldest has been waiting (0 when
// there is none).
func (s *Inbox) InboxDepth(ctx context.Context) (waiting int64, oldest time.Duration, err error) {
	err = s.pool.QueryRow(ctx, inboxDepth).Scan(&waiting, &oldest)
	return waiting, max(oldest, 0), classify("measure inbox", err)
}

// CountAhead counts the rows that were started and that no worker has stored yet:
// how far starts are ahead of the workers. It looks at the oldest limit rows, of
// which those count that were started within the last half minute, and at ids,
// which count as long as they are there: what the caller started or is about to
// start, wherever in the inbox it is. A row that is both counts once. However long
// the inbox is, no more than these are read.
func (s *Inbox) CountAhead(ctx context.Context, limit int, ids []int64) (int, error) {
	if ids == nil {
		ids = []int64{}
	}
	var n int
	err := s.pool.QueryRow(ctx, countAhead, pgx.NamedArgs{"limit": limit, "ids": ids}).Scan(&n)
	return n, classify("count started emails", err)
}
