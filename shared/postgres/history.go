package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/ledger"
)

// History returns all that the ledger has recorded of an email, in no order. An email
// that the ledger does not know is not_found.
func (s *Views) History(ctx context.Context, emailID int64) (*ledger.History, error) {
	const (
		email = `
SELECT size, encode(body_sha256, 'hex') AS sha256, received_at, verified_scheme, verified_key, verified_ref, parser, stored_at,
       scanner, scanner_database, raw_view, inspected_at, routes, rules_version, routed_at, state, closed_at
  FROM emails WHERE id = @id`
		verdicts = `SELECT verdict, count(*) FROM attachments WHERE email_id = @id GROUP BY verdict ORDER BY verdict`
		attempts = `
SELECT destination, effect, number, at, took_ms, status, code FROM attempts WHERE email_id = @id`
		ends = `
SELECT destination, state, attempts, last_error, coalesce(delivered_at, updated_at) AS at FROM deliveries
 WHERE email_id = @id AND state IN ('delivered', 'rejected', 'ambiguous')`
		states    = `SELECT at, state, reason, detail FROM transitions WHERE email_id = @id`
		decisions = `SELECT decided_at AS at, action, actor, via, note, reason FROM decisions WHERE email_id = @id`
		reminders = `SELECT at, level, number, deadline, since, reasons FROM reminders WHERE email_id = @id`
		edits     = `
SELECT created_at AS at, actor, applied_at IS NOT NULL AS applied,
       (SELECT coalesce(array_agg(c ->> 'field'), '{}') FROM jsonb_array_elements(changes) c) AS fields
  FROM edits WHERE email_id = @id`
		batches = `
SELECT coalesce(i.claimed_at, i.at) AS at, r.id AS replay_id, r.actor, r.via, r.action, r.from_step, r.new_effect, i.state, i.code
  FROM replay_items i JOIN replays r ON r.id = i.replay_id WHERE i.email_id = @id`
	)

	h := &ledger.History{}
	args := pgx.NamedArgs{"id": emailID}
	var batch pgx.Batch
	batch.Queue(email, args).Query(func(rows pgx.Rows) (err error) {
		h.Email, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[ledger.EmailHistory])
		return absent(err)
	})
	queueRows(&batch, verdicts, &h.Verdicts, args)
	queueRows(&batch, attempts, &h.Attempts, args)
	queueRows(&batch, ends, &h.Ends, args)
	queueRows(&batch, states, &h.States, args)
	queueRows(&batch, decisions, &h.Decisions, args)
	queueRows(&batch, reminders, &h.Reminders, args)
	queueRows(&batch, edits, &h.Edits, args)
	queueRows(&batch, batches, &h.BatchItems, args)

	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, classify(fmt.Sprintf("read history of email %d", emailID), err)
	}
	return h, nil
}

// queueRows queues a query whose rows are appended to into, scanned by name; fields
// of T without a column stay as they are.
func queueRows[T any](batch *pgx.Batch, query string, into *[]T, args ...any) {
	batch.Queue(query, args...).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.AppendRows(*into, rows, pgx.RowToStructByNameLax[T])
		return err
	})
}
