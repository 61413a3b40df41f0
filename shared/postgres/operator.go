package postgres

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/postgres/dbsqlc"
)

// selectListed reads what a list shows of an email e: of recipients, which may be many
// megabytes of one email, no more than people look at.
var selectListed = rowBegin + firstOf("e.recipients") + `, ` + firstOf("e.foreign_recipients") + `, ` + firstOf("e.unmatched_recipients") + rowEnd

// firstOf reads the beginning of a column of addresses.
func firstOf(column string) string {
	return fmt.Sprintf(`ARRAY(SELECT left(u.text, %d) FROM unnest((%s)[1:%d]) WITH ORDINALITY AS u (text, place) ORDER BY u.place)`,
		ledger.ListedAddress, column, ledger.ListedRecipients)
}

// selectRow reads all that is shown of an email e.
const (
	selectRow = rowBegin + `e.recipients, coalesce(e.foreign_recipients, '{}'), coalesce(e.unmatched_recipients, '{}')` + rowEnd

	rowBegin = `
SELECT e.id, e.change, e.event_id, e.workflow_id, e.correlation_id, e.source, e.tenant, e.state, e.reason, e.detail, e.size,
       e.received_at, e.closed_at, coalesce(f.workflow_id, ''), e.message_id, e.subject, e.sender, e.routes,
       e.held_at, e.attention, e.attention_at, e.approvals_missing, coalesce(cardinality(e.recipients), 0), `
	rowEnd = `,
       coalesce(e.reported, '{}'), ` + possibleDuplicate + `, ` + refusedEmail + `
  FROM emails e LEFT JOIN emails f ON f.id = e.conflict_of`
)

func scanRow(row pgx.Row, r *ledger.EmailRow) error {
	return row.Scan(&r.ID, &r.Version, &r.EventID, &r.WorkflowID, &r.CorrelationID, &r.Source, &r.Tenant, &r.State, &r.Reason,
		&r.Detail, &r.Size, &r.ReceivedAt, &r.ClosedAt, &r.DuplicateOf, &r.MessageID, &r.Subject, &r.From, &r.Routes,
		&r.HeldAt, &r.Attention, &r.AttentionAt, &r.ApprovalsMissing, &r.ToCount, &r.To, &r.Foreign, &r.Unmatched,
		&r.Reported, &r.PossibleDuplicateOf, &r.StartRefused)
}

// escapeLike takes the meaning from the wildcards of LIKE.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

func cursorAfter(id int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(id))) //nolint:gosec // ids are positive
}

// parseCursor returns the id below which the page begins, 0 for the first page.
func parseCursor(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) != 8 {
		return 0, ledger.CursorInvalid()
	}
	id := int64(binary.BigEndian.Uint64(b)) //nolint:gosec // checked below
	if id <= 0 {
		return 0, ledger.CursorInvalid()
	}
	return id, nil
}

// meant is the emails that a lookup by event id means, the first row of an id before a
// conflicting one that is named by its workflow, newest first.
const meant = `
SELECT id, source FROM (
    SELECT id, source, 0 AS rank FROM emails
     WHERE event_id = @event_id AND conflict_of IS NULL AND (@source::text = '' OR source = @source)
       AND (@tenants::text[] IS NULL OR tenant = ANY(@tenants::text[]))
    UNION ALL
    SELECT id, source, 1 FROM emails
     WHERE workflow_id = @event_id AND conflict_of IS NOT NULL AND (@source::text = '' OR source = @source)
       AND (@tenants::text[] IS NULL OR tenant = ANY(@tenants::text[]))
) found ORDER BY rank, id DESC`

func lookupArgs(l ledger.Lookup) pgx.NamedArgs {
	return pgx.NamedArgs{
		"number": l.Number, "source": clean(l.Source), "event_id": clean(l.EventID), "tenants": orAll(l.Tenants),
	}
}

// FindEmail returns all that the ledger says of an email. Where the lookup means more
// than one it is the first of Matches. What is not there, or not in the lookup's
// tenants, is not_found.
func (s *Views) FindEmail(ctx context.Context, l ledger.Lookup) (*ledger.EmailDetail, error) {
	const (
		byNumber = selectRow + ` WHERE e.id = @number AND (@tenants::text[] IS NULL OR e.tenant = ANY(@tenants::text[]))`
		byID     = selectRow + ` WHERE e.id = (SELECT id FROM (` + meant + ` LIMIT 1) one)`
	)
	query := byID
	if l.Number != 0 {
		query = byNumber
	}

	d := &ledger.EmailDetail{}
	err := scanRow(s.pool.QueryRow(ctx, query, lookupArgs(l)), &d.EmailRow)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ledger.NoSuchEmail(nil)
	}

	if err != nil {
		return nil, classify("find email", err)
	}

	var batch pgx.Batch
	d.Attachments, d.Deliveries = []mail.Attachment{}, []ledger.DeliveryRow{}
	d.Decisions, d.Edits = []ledger.DecisionRow{}, []ledger.EditRow{}
	queueRows(&batch, dbsqlc.ListAttachments, &d.Attachments, d.ID)
	queueRows(&batch, dbsqlc.ShowDeliveries, &d.Deliveries, d.ID)
	queueRows(&batch, dbsqlc.ListDecisions, &d.Decisions, d.ID)
	queueRows(&batch, dbsqlc.ListEdits, &d.Edits, d.ID)
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, classify("find email", err)
	}

	return d, nil
}

// maxMatches bounds what Matches lists: enough to see that a lookup is not exact.
const maxMatches = 20

// Matches lists the emails that a lookup by event id means, at most 20: first those that
// came with it as their event id, then those whose workflow it names, each newest first.
// It is empty when there is none. Of a lookup by number nothing is asked.
func (s *Views) Matches(ctx context.Context, l ledger.Lookup) ([]ledger.Match, error) {
	args := lookupArgs(l)
	args["limit"] = maxMatches
	rows, err := s.pool.Query(ctx, meant+` LIMIT @limit`, args)
	if err != nil {
		return nil, classify("find emails", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.Match])
	return list, classify("find emails", err)
}
