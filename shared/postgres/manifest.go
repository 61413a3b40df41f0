package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/postgres/dbsqlc"
)

// Body says where the raw body of an email is. An email that the ledger does not
// know is not_found; one whose body is neither in the inbox nor in the object store is
// content_lost.
func (s *Emails) Body(ctx context.Context, emailID int64) (ledger.Body, error) {
	r, err := s.queries.FindBody(ctx, emailID)
	if err != nil {
		return ledger.Body{}, classify(fmt.Sprintf("read body of email %d", emailID), absent(err))
	}

	b := ledger.Body{
		SHA256: [32]byte(r.BodySHA256), ReceivedAt: r.ReceivedAt, Stored: r.Stored, Inline: r.Inline, Removals: r.Removals, Key: r.Key,
	}
	if b.Stored && b.Key == "" {
		return ledger.Body{}, ledger.BodyLost(emailID)
	}

	var edits []applied
	if r.Edits != nil {
		if err := json.Unmarshal(r.Edits, &edits); err != nil {
			return ledger.Body{}, fmt.Errorf("decode edits of email %d: %w", emailID, err)
		}
	}
	b.Overlay, _ = merged(edits)
	return b, nil
}

// EarlierExists reports whether one of the events or rows is an email that the tenant of e
// had before e. It reads one row for each source and event, however many conflicting
// bodies came under an id.
func (s *Emails) EarlierExists(ctx context.Context, e contract.Email, events []string, rows []int64) (bool, error) {
	found, err := s.queries.EarlierExists(ctx, dbsqlc.EarlierExistsParams{Events: cleanAll(events), IDs: rows, Tenant: e.Tenant, ID: e.ID})
	return found, classify(fmt.Sprintf("look for earlier emails of email %d", e.ID), err)
}

// absent turns no rows into not_found.
func absent(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.NoSuchEmail(err)
	}
	return err
}

const saveManifest = `
WITH removing AS (
    SELECT count(*) AS objects FROM unwanted_objects
     WHERE (removing_since IS NOT NULL OR removed_as > @removals)
       AND (bucket = 'attachments' AND key = ANY(@key::text[])
            OR bucket = 'raw' AND key IN (@raw_key::text, @mime_key::text, @message_key::text))
), hashed AS (
    SELECT message_hash(tenant, @message_id) AS hash FROM emails WHERE id = @id AND @message_id <> ''
), stored AS (
    UPDATE emails SET raw_key = @raw_key, mime_key = @mime_key, message = @message, message_key = @message_key,
           message_id = @message_id, subject = @subject, sender = @sender, recipients = @recipients, parser = @parser,
           reported = @reported, possible_duplicate_of = coalesce(
               (SELECT m.email_id FROM message_ids m WHERE m.hash = (SELECT hash FROM hashed) AND m.email_id < emails.id
                 ORDER BY m.email_id DESC LIMIT 1),
               CASE WHEN stored_at IS NOT NULL THEN possible_duplicate_of ELSE
               (SELECT m.email_id FROM message_ids m WHERE m.hash = (SELECT hash FROM hashed) AND m.email_id > emails.id
                 ORDER BY m.email_id LIMIT 1) END),
           stored_at = CASE WHEN parser = @parser THEN coalesce(stored_at, now()) ELSE now() END
     WHERE id = @id AND (SELECT objects FROM removing) = 0 RETURNING id, event_id
), named AS (
    INSERT INTO message_ids (hash, email_id) SELECT hash, id FROM hashed, stored ON CONFLICT DO NOTHING
), findable AS (
    INSERT INTO email_search_new (email_id, text) SELECT id, replace(lower(event_id), E'\n', ' ') || @search FROM stored
    ON CONFLICT (email_id) DO UPDATE SET text = excluded.text
), emptied AS (
    DELETE FROM inbox WHERE email_id IN (SELECT id FROM stored)
), surplus AS (
    DELETE FROM attachments WHERE email_id IN (SELECT id FROM stored) AND ordinal >= cardinality(@filename::text[])
), kept AS (
    INSERT INTO attachments AS a (email_id, ordinal, filename, content_type, content_id, url, declared_size,
           declared_sha256, key, size, sha256, detected_type, verdict, signature)
    SELECT stored.id, n.ordinal - 1, n.filename, n.content_type, n.content_id, n.url, n.declared_size,
           n.declared_sha256, n.key, n.size, n.sha256, n.detected_type, n.verdict, n.signature
      FROM stored, unnest(@filename::text[], @content_type::text[], @content_id::text[], @url::text[],
           @declared_size::bigint[], @declared_sha256::text[], @key::text[], @size::bigint[], @sha256::text[],
           @detected_type::text[], @verdict::text[], @signature::text[])
      WITH ORDINALITY AS n (filename, content_type, content_id, url, declared_size, declared_sha256, key, size, sha256,
           detected_type, verdict, signature, ordinal)
    ON CONFLICT (email_id, ordinal) DO UPDATE SET
           filename = excluded.filename, content_type = excluded.content_type, content_id = excluded.content_id,
           url = excluded.url, declared_size = excluded.declared_size, declared_sha256 = excluded.declared_sha256,
           key = excluded.key, size = excluded.size, sha256 = excluded.sha256,
           detected_type = CASE WHEN a.sha256 = excluded.sha256 THEN a.detected_type ELSE excluded.detected_type END,
           verdict = CASE WHEN a.sha256 = excluded.sha256 THEN a.verdict ELSE excluded.verdict END,
           signature = CASE WHEN a.sha256 = excluded.sha256 THEN a.signature ELSE excluded.signature END
)
SELECT (SELECT count(*) FROM stored), (SELECT objects FROM removing)`

// SaveManifest records what the store step found and where it put it, and
// removes the inbox row in the same statement. A repeat changes nothing: an
// attachment whose bytes are the same keeps its verdict. Routes are not written.
// Where one of its objects is being removed, or was since m.Removals, nothing is
// saved and the fault is temporary: the caller reads Body anew and writes the objects
// once more.
//
// It also looks for another email of the tenant with the same Message-ID: the newest
// earlier one or else, the first time, a later one that was stored already. That is one
// step in an index, however many there are. Of two that are stored at the same moment
// neither may be found.
func (s *Emails) SaveManifest(ctx context.Context, m ledger.Manifest) error {
	args := attachmentColumns(m.Attachments)
	args["removals"] = m.Removals
	args["id"], args["raw_key"], args["mime_key"] = m.EmailID, m.RawKey, m.MIMEKey
	args["message"], args["message_key"] = m.Message, m.MessageKey
	args["message_id"], args["subject"] = clean(m.MessageID), clean(m.Subject)
	args["sender"], args["recipients"], args["parser"] = clean(m.Sender), cleanAll(m.Recipients), clean(m.Parser)
	args["reported"] = reported(m.Reported)
	args["search"] = searchText(m.MessageID, m.Subject, m.Sender, m.Recipients)

	var found, removing int
	var batch pgx.Batch // one transaction
	batch.Queue(dbsqlc.ShareObjects, objectsLock)
	batch.Queue(saveManifest, args).QueryRow(func(row pgx.Row) error { return row.Scan(&found, &removing) })
	err := s.pool.SendBatch(ctx, &batch).Close()
	switch {
	case err != nil:
	case removing > 0:
		err = ledger.ObjectsBeingRemoved()
	case found == 0:
		err = ledger.NoSuchEmail(nil)
	}
	return classify(fmt.Sprintf("save manifest of email %d", m.EmailID), err)
}

// reported returns what is written of r, nil for nothing.
func reported(r mail.Reported) *mail.Reported {
	if r == (mail.Reported{}) {
		return nil
	}
	r.Auth = mail.Auth{SPF: clean(r.Auth.SPF), DKIM: clean(r.Auth.DKIM), DMARC: clean(r.Auth.DMARC)}
	r.Type, r.Mailbox = clean(r.Type), clean(r.Mailbox)
	return &r
}

// possibleDuplicate reads the event id of the email that e may be a duplicate of.
const possibleDuplicate = `coalesce((SELECT p.event_id FROM emails p
        WHERE p.id = e.possible_duplicate_of AND p.tenant = e.tenant), '')`

// attachmentColumns turns attachments into one array per column.
func attachmentColumns(list []mail.Attachment) pgx.NamedArgs {
	n := len(list)
	filename, contentType, contentID, url := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	declaredSize, declaredSHA256 := make([]int64, n), make([]string, n)
	key, size, sha256 := make([]string, n), make([]int64, n), make([]string, n)
	detected, verdict, signature := make([]string, n), make([]string, n), make([]string, n)
	for i := range list {
		a := &list[i]
		filename[i], contentType[i], contentID[i] = clean(a.Filename), clean(a.ContentType), clean(a.ContentID)
		url[i], declaredSize[i], declaredSHA256[i] = clean(a.URL), a.DeclaredSize, clean(a.DeclaredSHA256)
		key[i], size[i], sha256[i] = a.Key, a.Size, a.SHA256
		detected[i], verdict[i], signature[i] = clean(a.DetectedType), string(a.Verdict), clean(a.Signature)
	}
	return pgx.NamedArgs{
		"filename": filename, "content_type": contentType, "content_id": contentID, "url": url,
		"declared_size": declaredSize, "declared_sha256": declaredSHA256, "key": key, "size": size, "sha256": sha256,
		"detected_type": detected, "verdict": verdict, "signature": signature,
	}
}

// Manifest reads what SaveManifest, SaveVerdicts, Record and ApplyEdit wrote. An email
// that is not stored yet is an error, never an empty manifest: mail without
// attachments would pass inspection.
func (s *Emails) Manifest(ctx context.Context, emailID int64) (*ledger.Manifest, error) {
	const query = `
SELECT received_at, raw_key, mime_key, message, message_key, message_id, subject, sender, recipients, routes,
       foreign_recipients, unmatched_recipients, coalesce(reported, '{}'), ` + possibleDuplicate + `,` + appliedEdits + `,` + openFindings + `
  FROM emails e WHERE id = @id`

	m := &ledger.Manifest{EmailID: emailID}
	var edits []applied
	args := pgx.NamedArgs{"id": emailID}
	var batch pgx.Batch
	batch.Queue(query, args).QueryRow(func(row pgx.Row) error {
		return absent(row.Scan(&m.ReceivedAt, &m.RawKey, &m.MIMEKey, &m.Message, &m.MessageKey, &m.MessageID, &m.Subject,
			&m.Sender, &m.Recipients, &m.Routes, &m.Foreign, &m.Unmatched, &m.Reported, &m.PossibleDuplicateOf, &edits, &m.Open))
	})
	m.Attachments = []mail.Attachment{}
	queueRows(&batch, dbsqlc.ListAttachments, &m.Attachments, emailID)
	err := s.pool.SendBatch(ctx, &batch).Close()
	if err == nil && m.RawKey == "" {
		err = ledger.NotStored()
	}
	if err != nil {
		return nil, classify(fmt.Sprintf("read manifest of email %d", emailID), err)
	}
	m.Overlay, m.Edited = merged(edits)
	return m, nil
}

// SaveLeftOut records the recipients that belong to no domain of the email's tenant, and
// those that no rule takes, in place of those that were recorded before; an empty list says
// that there are none. A repeat changes nothing.
func (s *Emails) SaveLeftOut(ctx context.Context, emailID int64, foreign, unmatched []string) error {
	saved, err := s.queries.SaveLeftOut(ctx, dbsqlc.SaveLeftOutParams{
		ID: emailID, ForeignRecipients: cleanAll(foreign), UnmatchedRecipients: cleanAll(unmatched),
	})
	if err == nil && saved == 0 {
		err = ledger.NoSuchEmail(nil)
	}
	return classify(fmt.Sprintf("save the recipients of email %d that are left out", emailID), err)
}

// SaveVerdicts writes what inspection found: DetectedType, Verdict and Signature
// of list[i] belong to attachment i and to its SHA-256. It is an error when the
// manifest has other or fewer attachments than list: then nothing may pass as clean.
func (s *Emails) SaveVerdicts(ctx context.Context, emailID int64, list []mail.Attachment) error {
	if len(list) == 0 {
		return nil
	}

	n := len(list)
	p := dbsqlc.SaveVerdictsParams{
		EmailID: emailID, Ordinal: make([]int32, n), DetectedType: make([]string, n), Verdict: make([]string, n),
		Signature: make([]string, n), SHA256: make([]string, n),
	}
	for i, a := range list {
		p.Ordinal[i], p.SHA256[i] = int32(i), a.SHA256
		p.DetectedType[i], p.Verdict[i], p.Signature[i] = clean(a.DetectedType), string(a.Verdict), clean(a.Signature)
	}

	saved, err := s.queries.SaveVerdicts(ctx, p)
	if err == nil && saved != int64(n) {
		err = fmt.Errorf("the manifest has %d of %d attachments", saved, n)
	}
	return classify(fmt.Sprintf("save verdicts of email %d", emailID), err)
}
