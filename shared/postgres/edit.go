package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/ledger"
)

// CreateEdit keeps an edit, which changes nothing until ApplyEdit. With a key, a
// repeat gives the id of the first and writes nothing.
func (s *Decisions) CreateEdit(ctx context.Context, e ledger.NewEdit) (id int64, err error) {
	const query = `
INSERT INTO edits AS e (email_id, edit, changes, actor, note, key)
VALUES (@email_id, @edit::jsonb, @changes::jsonb, @actor, @note, @key)
ON CONFLICT (email_id, key) WHERE key <> '' DO UPDATE SET key = e.key
RETURNING id`

	edit, err := json.Marshal(e.Edit)
	if err != nil {
		return 0, fmt.Errorf("encode edit: %w", err)
	}
	changes, err := json.Marshal(append([]ledger.Change{}, e.Changes...))
	if err != nil {
		return 0, fmt.Errorf("encode changes: %w", err)
	}
	err = s.pool.QueryRow(ctx, query, pgx.NamedArgs{
		"email_id": e.EmailID, "edit": string(edit), "changes": string(changes), "actor": clean(e.Actor), "note": clean(e.Note), "key": e.Key,
	}).Scan(&id)
	return id, classify(fmt.Sprintf("create edit of email %d", e.EmailID), err)
}

// ApplyEdit lays an edit over its email from now on, with an entry in the audit
// chain. A repeat changes nothing. An edit that is not the email's is not_found.
func (s *Decisions) ApplyEdit(ctx context.Context, in contract.ApplyEditInput) error {
	// The chain gets the hash of the edit, which the row holds, and not its content.
	const query = `
WITH applied AS (
    UPDATE edits SET applied_at = clock_timestamp()
     WHERE id = @id AND email_id = @email_id AND applied_at IS NULL
    RETURNING id, email_id, edit, actor, note
), logged AS MATERIALIZED (
    SELECT audit_append('edit', email_id, '', actor, '', jsonb_build_object(
               'edit', id, 'sha256', encode(sha256(convert_to(edit::text, 'UTF8')), 'hex'), 'note', note,
               'fields', (SELECT jsonb_agg(f ORDER BY f) FROM jsonb_object_keys(edit) f))) AS seq
      FROM applied
)
SELECT count(*), (SELECT max(seq) FROM logged) FROM edits WHERE id = @id AND email_id = @email_id`

	var found int
	var seq *int64
	err := s.pool.QueryRow(ctx, query, pgx.NamedArgs{"id": in.EditID, "email_id": in.Email.ID}).Scan(&found, &seq)
	if err == nil && found == 0 {
		err = ledger.NoSuchEdit()
	}
	return classify(fmt.Sprintf("apply edit %d of email %d", in.EditID, in.Email.ID), err)
}

// Edits gives the edits of an email, applied or not, oldest first; never nil.
func (s *Decisions) Edits(ctx context.Context, emailID int64) ([]ledger.EditRow, error) {
	rows, err := s.pool.Query(ctx, selectEdits, pgx.NamedArgs{"id": emailID})
	if err != nil {
		return nil, classify(fmt.Sprintf("read edits of email %d", emailID), err)
	}
	list, err := pgx.AppendRows([]ledger.EditRow{}, rows, scanEdit)
	return list, classify(fmt.Sprintf("read edits of email %d", emailID), err)
}

const selectEdits = `
SELECT id, edit, actor, note, created_at, applied_at, changes FROM edits WHERE email_id = @id ORDER BY id`

func scanEdit(row pgx.CollectableRow) (e ledger.EditRow, err error) {
	err = row.Scan(&e.ID, &e.Edit, &e.Actor, &e.Note, &e.At, &e.AppliedAt, &e.Changes)
	return e, err
}

// appliedEdits is a column of the email e: its applied edits in their order, as
// JSON; null for nearly all mail.
const appliedEdits = `
       (SELECT jsonb_agg(jsonb_build_object('edit', d.edit, 'by', d.actor, 'at', d.applied_at) ORDER BY d.applied_at, d.id)
          FROM edits d WHERE d.email_id = e.id AND d.applied_at IS NOT NULL)`

// applied is one element of it.
type applied struct {
	Edit contract.Edit `json:"edit"`
	By   string        `json:"by"`
	At   time.Time     `json:"at"`
}

// merged makes one edit of them, nil where there is none.
func merged(list []applied) (*contract.Edit, ledger.Edited) {
	if len(list) == 0 {
		return nil, ledger.Edited{}
	}
	edits := make([]contract.Edit, len(list))
	for i := range list {
		edits[i] = list[i].Edit
	}
	last, one := list[len(list)-1], edit.Merge(edits...)
	return &one, ledger.Edited{By: last.By, At: last.At}
}
