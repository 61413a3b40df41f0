package postgres

import (
	"context"
	"fmt"
	"path"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// maxLinks bounds the part of the chain that one document carries.
const maxLinks = 400_000

// checkLimit bounds how long CheckDecisions may take.
const checkLimit = "'2min'"

// ExportCustody gives an email's chain of custody, and appends to the chain that
// actor had it, with the hash of the record. While the record is read no decision
// is recorded: it has all of them up to its own entry.
func (s *AuditChain) ExportCustody(ctx context.Context, emailID int64, actor, via string) (*auditchain.Document, error) {
	d := &auditchain.Document{Format: auditchain.Format}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM audit_head FOR UPDATE`); err != nil {
			return err //nolint:wrapcheck // classified below
		}
		if err := readRecord(ctx, tx, emailID, &d.Record); err != nil {
			return err
		}
		body, err := auditchain.ExportBody(&d.Record)
		if err != nil {
			return fmt.Errorf("hash record: %w", err)
		}
		d.Proof.Head.Seq, err = AppendAudit(ctx, tx, ledger.AuditRecord{
			Kind: auditchain.KindExport, EmailID: emailID, Actor: actor, Via: via, Body: body,
		})
		return err
	})
	if err == nil {
		err = s.readProof(ctx, emailID, &d.Proof)
	}
	if err != nil {
		return nil, classify(fmt.Sprintf("export custody of email %d", emailID), err)
	}
	return d, nil
}

// readProof reads the chain from the first entry about an email to p.Head.Seq.
// Entries never change, so that it needs no lock.
func (s *AuditChain) readProof(ctx context.Context, emailID int64, p *auditchain.Proof) error {
	const (
		whole = ` WHERE email_id = @id AND email_id <> 0 AND seq <= @head ORDER BY seq`
		links = `SELECT content_hash FROM audit WHERE seq BETWEEN @from AND @head ORDER BY seq`
	)
	args := pgx.NamedArgs{"id": emailID, "head": p.Head.Seq}
	rows, _ := s.pool.Query(ctx, selectAudit+whole, args) // its error comes with the rows
	entries, err := pgx.CollectRows(rows, scanEntry)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return ledger.NoAuditEntry()
	}
	first, last := &entries[0], &entries[len(entries)-1]
	if last.Seq-first.Seq >= maxLinks {
		return ledger.ChainTooLong(maxLinks)
	}
	p.Entries, p.From, p.Prev, p.Head.Hash = entries, first.Seq, first.PrevHash, last.Hash
	args["from"] = first.Seq
	rows, _ = s.pool.Query(ctx, links, args)
	p.Links, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (sum contract.Digest, err error) {
		var raw []byte
		err = row.Scan(&raw)
		copy(sum[:], raw)
		return sum, err
	})
	return err
}

// readRecord reads what the ledger has of an email's way.
func readRecord(ctx context.Context, tx pgx.Tx, emailID int64, r *auditchain.Record) error {
	const (
		email = `
SELECT event_id, source, tenant, workflow_id, correlation_id, message_id, received_at, now(), state, reason, closed_at,
       encode(body_sha256, 'hex'), size, mime_key, verified_scheme, verified_key, verified_ref, stored_at, parser,
       inspected_at, scanner, scanner_database, raw_view, routed_at, rules_version, routes
  FROM emails WHERE id = @id`
		attachments = `
SELECT filename, sha256, size, content_type, detected_type, verdict, signature
  FROM attachments WHERE email_id = @id ORDER BY ordinal`
		deliveries = `
SELECT destination, effect, state, idempotency_key, coalesce(encode(content_sha256, 'hex'), ''), delivered_at
  FROM deliveries WHERE email_id = @id ORDER BY destination, effect`
		decisions = `
SELECT d.decided_at, d.action, d.actor, d.via, d.note, d.reason, d.state_before, d.state_after, d.sequence, coalesce(a.seq, 0)
  FROM decisions d LEFT JOIN audit a ON a.email_id = d.email_id AND a.kind = 'decision'
   AND (a.body::jsonb ->> 'sequence')::bigint = d.sequence
 WHERE d.email_id = @id ORDER BY d.sequence`
		states = `SELECT at, state, reason, detail FROM transitions WHERE email_id = @id ORDER BY sequence`
	)
	var mimeKey string
	r.EmailID = emailID
	args := pgx.NamedArgs{"id": emailID}
	var batch pgx.Batch
	batch.Queue(email, args).QueryRow(func(row pgx.Row) error {
		return absent(row.Scan(&r.EventID, &r.Source, &r.Tenant, &r.WorkflowID, &r.CorrelationID, &r.MessageID, &r.ReceivedAt,
			&r.ExportedAt, &r.State, &r.Reason, &r.ClosedAt, &r.Raw.SHA256, &r.Raw.Size, &mimeKey,
			&r.Verified.Scheme, &r.Verified.Key, &r.Verified.Ref, &r.Stored.At, &r.Stored.Parser,
			&r.Inspected.At, &r.Inspected.Scanner, &r.Inspected.Database, &r.Inspected.RawView, &r.Routed.At, &r.Routed.Rules, &r.Routed.Routes))
	})
	r.Attachments, r.Deliveries = []auditchain.Attachment{}, []auditchain.Delivery{}
	r.Decisions, r.States = []auditchain.Decision{}, []auditchain.StateChange{}
	collect(&batch, attachments, args, &r.Attachments, func(row pgx.CollectableRow) (a auditchain.Attachment, err error) {
		err = row.Scan(&a.Filename, &a.SHA256, &a.Size, &a.ContentType, &a.DetectedType, &a.Verdict, &a.Signature)
		return a, err
	})
	collect(&batch, deliveries, args, &r.Deliveries, func(row pgx.CollectableRow) (d auditchain.Delivery, err error) {
		err = row.Scan(&d.Destination, &d.Effect, &d.State, &d.IdempotencyKey, &d.ContentSHA256, &d.DeliveredAt)
		d.Attempts = []auditchain.Attempt{}
		return d, err
	})
	collect(&batch, decisions, args, &r.Decisions, func(row pgx.CollectableRow) (d auditchain.Decision, err error) {
		err = row.Scan(&d.At, &d.Action, &d.Actor, &d.Via, &d.Note, &d.Reason, &d.Before, &d.After, &d.Sequence, &d.Seq)
		return d, err
	})
	collect(&batch, states, args, &r.States, func(row pgx.CollectableRow) (s auditchain.StateChange, err error) {
		err = row.Scan(&s.At, &s.State, &s.Reason, &s.Detail)
		return s, err
	})
	queueAttempts(&batch, args, r)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return err //nolint:wrapcheck // classified by the caller
	}
	if mimeKey != "" { // its last part is the hash of what lies there
		r.MIME = &auditchain.Hashed{SHA256: path.Base(mimeKey), Size: -1}
	}
	return nil
}

func collect[T any](batch *pgx.Batch, query string, args pgx.NamedArgs, into *[]T, scan func(pgx.CollectableRow) (T, error)) {
	batch.Queue(query, args).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.AppendRows(*into, rows, scan)
		return err
	})
}

// queueAttempts puts each call to its delivery, once those are read.
func queueAttempts(batch *pgx.Batch, args pgx.NamedArgs, r *auditchain.Record) {
	const query = `
SELECT destination, effect, number, at, took_ms, status, code FROM attempts WHERE email_id = @id
 ORDER BY destination, effect, number`

	batch.Queue(query, args).Query(func(rows pgx.Rows) error {
		var destination, effect string
		var a auditchain.Attempt
		_, err := pgx.ForEachRow(rows, []any{&destination, &effect, &a.Number, &a.At, &a.TookMS, &a.Status, &a.Code}, func() error {
			for i := range r.Deliveries {
				if d := &r.Deliveries[i]; d.Destination == destination && d.Effect == effect {
					d.Attempts = append(d.Attempts, a)
				}
			}
			return nil
		})
		return err
	})
}

// CheckDecisions compares the rows of decisions with their entries of the chain and
// gives up to limit differences: a row that says something else than its entry,
// one without an entry, and an entry whose row is gone.
func (s *AuditChain) CheckDecisions(ctx context.Context, limit int) (checked int64, wrong []ledger.AuditDifference, err error) {
	const (
		counted = `SELECT count(*) FROM decisions`
		query   = `
WITH entries AS (
    SELECT seq, email_id, (body::jsonb ->> 'sequence')::bigint AS sequence, body::jsonb AS body FROM audit WHERE kind = 'decision'
)
SELECT coalesce(e.seq, 0), coalesce(d.email_id, e.email_id), coalesce(d.sequence, e.sequence),
       CASE WHEN e.seq IS NULL THEN 'unchained' WHEN d.id IS NULL THEN 'missing' ELSE 'changed' END
  FROM decisions d FULL JOIN entries e ON e.email_id = d.email_id AND e.sequence = d.sequence
 WHERE e.seq IS NULL OR d.id IS NULL OR NOT audit_decision(d) @> e.body
 ORDER BY 1, 2, 3 LIMIT @limit`
	)
	var batch pgx.Batch
	batch.Queue(counted).QueryRow(func(row pgx.Row) error { return row.Scan(&checked) })
	wrong = []ledger.AuditDifference{}
	collect(&batch, query, pgx.NamedArgs{"limit": limit}, &wrong, func(row pgx.CollectableRow) (w ledger.AuditDifference, err error) {
		err = row.Scan(&w.Seq, &w.EmailID, &w.Sequence, &w.What)
		return w, err
	})
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// It reads every decision that ever was.
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = "+checkLimit); err != nil {
			return err //nolint:wrapcheck // classified below
		}
		return tx.SendBatch(ctx, &batch).Close()
	})
	return checked, wrong, classify("compare decisions with audit", err)
}
