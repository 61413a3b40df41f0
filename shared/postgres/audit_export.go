package postgres

import (
	"context"
	"fmt"
	"path"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/auditchain"
	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// maxLinks bounds the part of the chain that one document contains.
const maxLinks = 400_000

// checkLimit bounds how long CheckDecisions may take.
const checkLimit = "'2min'"

// ExportCustody returns an email's chain of custody, and appends to the audit chain that
// actor exported it, with the hash of the record. While the record is read no decision
// is recorded: it has all of them up to its own entry.
func (s *AuditChain) ExportCustody(ctx context.Context, emailID int64, actor, via string) (*auditchain.Document, error) {
	d := &auditchain.Document{Format: auditchain.Format}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.queries.WithTx(tx).LockAudit(ctx); err != nil {
			return err
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
	rows, err := s.queries.ListEmailAudit(ctx, dbsqlc.ListEmailAuditParams{EmailID: emailID, Head: p.Head.Seq})
	if err != nil {
		return err
	}
	entries := make([]auditchain.Entry, len(rows))
	for i, r := range rows {
		entries[i] = entryOf(dbsqlc.ListAuditRow(r))
	}
	if len(entries) == 0 {
		return ledger.NoAuditEntry()
	}
	first, last := &entries[0], &entries[len(entries)-1]
	if last.Seq-first.Seq >= maxLinks {
		return ledger.ChainTooLong(maxLinks)
	}
	p.Entries, p.From, p.Prev, p.Head.Hash = entries, first.Seq, first.PrevHash, last.Hash

	links, err := s.queries.ListAuditLinks(ctx, dbsqlc.ListAuditLinksParams{First: first.Seq, Head: p.Head.Seq})
	p.Links = make([]contract.Digest, len(links))
	for i, sum := range links {
		p.Links[i] = contract.Digest(sum)
	}
	return err
}

// readRecord reads what the ledger has of an email's way.
func readRecord(ctx context.Context, tx pgx.Tx, emailID int64, r *auditchain.Record) error {
	var email dbsqlc.ExportEmailRow
	var attempts []dbsqlc.ExportAttemptsRow
	r.EmailID = emailID
	r.Attachments, r.Deliveries = []auditchain.Attachment{}, []auditchain.Delivery{}
	r.Decisions, r.States = []auditchain.Decision{}, []auditchain.StateChange{}

	var batch pgx.Batch
	batch.Queue(dbsqlc.ExportEmail, emailID).Query(func(rows pgx.Rows) (err error) {
		email, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[dbsqlc.ExportEmailRow])
		return absent(err)
	})
	queueRows(&batch, dbsqlc.ExportAttachments, &r.Attachments, emailID)
	queueRows(&batch, dbsqlc.ExportDeliveries, &r.Deliveries, emailID)
	queueRows(&batch, dbsqlc.ExportDecisions, &r.Decisions, emailID)
	queueRows(&batch, dbsqlc.ExportStates, &r.States, emailID)
	queueRows(&batch, dbsqlc.ExportAttempts, &attempts, emailID)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return err //nolint:wrapcheck // classified by the caller
	}

	fillRecord(r, &email)
	addAttempts(r.Deliveries, attempts)
	return nil
}

func fillRecord(r *auditchain.Record, e *dbsqlc.ExportEmailRow) {
	r.EventID, r.Source, r.Tenant, r.WorkflowID = e.EventID, e.Source, e.Tenant, e.WorkflowID
	r.CorrelationID, r.MessageID, r.ReceivedAt, r.ExportedAt = e.CorrelationID, e.MessageID, e.ReceivedAt, e.ExportedAt
	r.State, r.Reason, r.ClosedAt = string(e.State), string(e.Reason), e.ClosedAt
	r.Raw.SHA256, r.Raw.Size = e.SHA256, e.Size
	r.Verified.Scheme, r.Verified.Key, r.Verified.Ref = e.VerifiedScheme, int(e.VerifiedKey), e.VerifiedRef

	r.Stored.At, r.Stored.Parser = e.StoredAt, e.Parser
	r.Inspected.At, r.Inspected.Scanner, r.Inspected.Database = e.InspectedAt, e.Scanner, e.ScannerDatabase
	r.Inspected.RawView = string(e.RawView)
	r.Routed.At, r.Routed.Rules, r.Routed.Routes = e.RoutedAt, e.RulesVersion, e.Routes

	if e.MIMEKey != "" { // its last part is the hash of the object
		r.MIME = &auditchain.Hashed{SHA256: path.Base(e.MIMEKey), Size: -1}
	}
}

// addAttempts adds each call to its delivery.
func addAttempts(deliveries []auditchain.Delivery, attempts []dbsqlc.ExportAttemptsRow) {
	for i := range deliveries {
		d := &deliveries[i]
		d.Attempts = []auditchain.Attempt{}
		for _, a := range attempts {
			if a.Destination == d.Destination && a.Effect == d.Effect {
				d.Attempts = append(d.Attempts, auditchain.Attempt{
					Number: int(a.Number), At: a.At, TookMS: a.TookMS, Status: int(a.Status), Code: a.Code,
				})
			}
		}
	}
}

// CheckDecisions compares the rows of decisions with their entries of the chain and
// gives up to limit differences: a row that says something else than its entry,
// one without an entry, and an entry whose row is gone.
func (s *AuditChain) CheckDecisions(ctx context.Context, limit int) (checked int64, wrong []ledger.AuditDifference, err error) {
	var batch pgx.Batch
	batch.Queue(dbsqlc.CountDecisions).QueryRow(func(row pgx.Row) error { return row.Scan(&checked) })
	wrong = []ledger.AuditDifference{}
	queueRows(&batch, dbsqlc.CompareDecisions, &wrong, int64(limit))

	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// It reads every decision that ever was.
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = "+checkLimit); err != nil {
			return err //nolint:wrapcheck // classified below
		}
		return tx.SendBatch(ctx, &batch).Close()
	})
	return checked, wrong, classify("compare decisions with audit", err)
}
