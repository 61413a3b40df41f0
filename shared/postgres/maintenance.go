package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// Maintenance finds emails and batches that wait for something that has recovered.
type Maintenance struct {
	pool *pgxpool.Pool
}

// NewMaintenance returns the store on db's connections.
func NewMaintenance(db *DB) *Maintenance { return &Maintenance{pool: db.pool} }

// HeldAway gives for each cause that holds emails because something was away how
// many there are, and the oldest. A destination is a cause of its own. A cause whose
// emails are being let go at the moment is not among them.
func (s *Maintenance) HeldAway(ctx context.Context) ([]ledger.Held, error) {
	const query = `
WITH away AS (
    SELECT e.reason AS cause, e.reason, '' AS destination, e.id FROM emails e
     WHERE e.state = 'quarantined' AND e.reason IN ('scanner_unavailable', 'storage_unavailable')
    UNION ALL
    SELECT e.reason || ':' || d.destination, e.reason, d.destination, e.id
      FROM emails e JOIN deliveries d ON d.email_id = e.id AND d.state NOT IN ('delivered', 'skipped')
     WHERE e.state = 'quarantined' AND e.reason = 'downstream_exhausted'
), causes AS (
    SELECT cause, min(reason) AS reason, min(destination) AS destination, count(*) AS count FROM away a
     WHERE NOT EXISTS (SELECT FROM replays r WHERE r.cause = a.cause AND r.state IN ('running', 'paused'))
     GROUP BY cause
)
SELECT cause, reason, destination, count FROM causes ORDER BY cause`

	rows, _ := s.pool.Query(ctx, query)
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h ledger.Held, err error) {
		err = row.Scan(&h.Cause, &h.Reason, &h.Destination, &h.Count)
		return h, err
	})
	return list, classify("list what was away", err)
}

// Canary gives the oldest email that is held for a cause, but for the first skip of
// them; false means that there is none.
func (s *Maintenance) Canary(ctx context.Context, h ledger.Held, skip int64) (ledger.ReplayEmail, bool, error) {
	query := selectReplayEmail + `
 WHERE e.state = 'quarantined' AND e.reason = @reason
   AND (@destination = '' OR EXISTS (SELECT FROM deliveries d WHERE d.email_id = e.id AND d.destination = @destination
        AND d.state NOT IN ('delivered', 'skipped')))
 ORDER BY e.id LIMIT 1 OFFSET @skip`

	rows, _ := s.pool.Query(ctx, query, pgx.NamedArgs{"reason": string(h.Reason), "destination": h.Destination, "skip": skip})
	e, err := pgx.CollectExactlyOneRow(rows, scanReplayEmail)
	if errors.Is(err, pgx.ErrNoRows) {
		return e, false, nil
	}
	return e, err == nil, classify("choose a canary", err)
}

// EmailState gives the state of an email and why it is in it.
func (s *Maintenance) EmailState(ctx context.Context, id int64) (state contract.State, reason contract.Reason, err error) {
	const query = `SELECT state, reason FROM emails WHERE id = @id`

	err = s.pool.QueryRow(ctx, query, pgx.NamedArgs{"id": id}).Scan(&state, &reason)
	return state, reason, classify(fmt.Sprintf("read state of email %d", id), absent(err))
}

// EmailWorkflow returns the ID of an email's workflow.
func (s *Maintenance) EmailWorkflow(ctx context.Context, id int64) (workflowID string, err error) {
	const query = `SELECT workflow_id FROM emails WHERE id = @id`

	err = s.pool.QueryRow(ctx, query, pgx.NamedArgs{"id": id}).Scan(&workflowID)
	return workflowID, classify(fmt.Sprintf("read workflow of email %d", id), absent(err))
}

// Recovery reads what is being done about a cause; at first nothing is.
func (s *Maintenance) Recovery(ctx context.Context, cause string) (ledger.Recovery, error) {
	const query = `SELECT coalesce(canary, 0), failures, tried_at, next_at FROM recoveries WHERE cause = @cause`

	r := ledger.Recovery{Cause: cause}
	var tried *time.Time
	err := s.pool.QueryRow(ctx, query, pgx.NamedArgs{"cause": cause}).Scan(&r.Canary, &r.Failures, &tried, &r.NextAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, nil
	}
	if tried != nil {
		r.TriedAt = *tried
	}
	return r, classify("read recovery of "+cause, err)
}

// SaveRecovery writes it down.
func (s *Maintenance) SaveRecovery(ctx context.Context, r ledger.Recovery) error {
	const query = `
INSERT INTO recoveries AS c (cause, canary, failures, tried_at, next_at)
VALUES (@cause, nullif(@canary::bigint, 0), @failures, @tried, @next)
ON CONFLICT (cause) DO UPDATE SET canary = excluded.canary, failures = excluded.failures, tried_at = excluded.tried_at,
       next_at = excluded.next_at`

	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{
		"cause": r.Cause, "canary": r.Canary, "failures": r.Failures, "tried": orNull(r.TriedAt), "next": r.NextAt,
	})
	return classify("save recovery of "+r.Cause, err)
}

// RemoveContent takes the content from up to limit emails that were discarded
// before: what is left of each is its record (ids, hashes, sizes, addresses, names and
// verdicts of attachments). It notes in the same transaction, for BeginRemoval to begin with,
// which objects are no longer wanted, and gives how many emails there were.
func (s *Removal) RemoveContent(ctx context.Context, before time.Time, limit int) (int64, error) {
	// One email a statement: the audit chain takes one entry a statement, as the last thing.
	const one = `
WITH chosen AS (
    SELECT id, raw_key, mime_key, message_key FROM emails
     WHERE state = 'discarded' AND content_removed_at IS NULL AND closed_at < @before
     ORDER BY closed_at LIMIT 1 FOR UPDATE SKIP LOCKED
), keys AS (
    SELECT 'raw' AS bucket, k.key FROM chosen c, LATERAL (VALUES (c.raw_key), (c.mime_key), (c.message_key)) AS k (key)
    UNION SELECT 'raw', i.body_key FROM inbox i JOIN chosen c ON c.id = i.email_id WHERE i.body_key IS NOT NULL
    UNION SELECT 'attachments', a.key FROM attachments a JOIN chosen c ON c.id = a.email_id
), unwanted AS (
    INSERT INTO unwanted_objects (bucket, key) SELECT bucket, key FROM keys WHERE key <> ''
    ON CONFLICT (bucket, key) DO UPDATE SET since = now(), removed_at = NULL WHERE unwanted_objects.removed_at IS NOT NULL
), emptied AS (
    DELETE FROM inbox WHERE email_id IN (SELECT id FROM chosen)
), searched AS (
    UPDATE email_search SET text = regexp_replace(text, @subject, '\1') WHERE email_id IN (SELECT id FROM chosen)
), searched_new AS (
    UPDATE email_search_new SET text = regexp_replace(text, @subject, '\1') WHERE email_id IN (SELECT id FROM chosen)
), stripped AS (
    UPDATE attachments SET key = '', url = '' WHERE email_id IN (SELECT id FROM chosen)
)
UPDATE emails SET raw_key = '', mime_key = '', message = NULL, message_key = '', subject = '', content_removed_at = now()
 WHERE id IN (SELECT id FROM chosen)
RETURNING id`

	var removed int64
	for ; removed < int64(limit); removed++ {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			var id int64
			if err := tx.QueryRow(ctx, one, pgx.NamedArgs{
				"before": before, "subject": `^([^\n]*\n[^\n]*\n)[^\n]*`, // the third line, see searchText
			}).Scan(&id); err != nil {
				return err
			}
			_, err := AppendAudit(ctx, tx, ledger.AuditRecord{
				Kind: ledger.AuditDiscardContent, EmailID: id, Actor: contract.ActorSystem, Via: string(contract.ViaPolicy),
			})
			return err
		})
		if errors.Is(err, pgx.ErrNoRows) {
			break
		}
		if err != nil {
			return removed, classify("remove content of discarded emails", err)
		}
	}
	return removed, nil
}

// ForgetSamples takes the samples out of dry runs that are older than age: they hold
// subjects and addresses, and the mail may be gone.
func (s *Removal) ForgetSamples(ctx context.Context, age time.Duration) error {
	const query = `
UPDATE replays SET preview = jsonb_set(preview, '{sample}', '[]')
 WHERE preview->'sample' <> '[]'::jsonb AND created_at < now() - @age::interval`

	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{"age": age})
	return classify("forget samples of dry runs", err)
}
