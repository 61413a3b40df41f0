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
	"mailroom/shared/postgres/dbsqlc"
)

// CreateEdit keeps an edit, which changes nothing until ApplyEdit. With a key, a
// repeat returns the id of the first and writes nothing.
func (s *Decisions) CreateEdit(ctx context.Context, e ledger.NewEdit) (id int64, err error) {
	edit, err := json.Marshal(e.Edit)
	if err != nil {
		return 0, fmt.Errorf("encode edit: %w", err)
	}
	changes, err := json.Marshal(append([]ledger.Change{}, e.Changes...))
	if err != nil {
		return 0, fmt.Errorf("encode changes: %w", err)
	}
	id, err = s.queries.InsertEdit(ctx, dbsqlc.InsertEditParams{
		EmailID: e.EmailID, Edit: edit, Changes: changes, Actor: clean(e.Actor), Note: clean(e.Note), Key: e.Key,
	})
	return id, classify(fmt.Sprintf("create edit of email %d", e.EmailID), err)
}

// ApplyEdit lays an edit over its email from now on, with an entry in the audit
// chain. A repeat changes nothing. An edit that is not the email's is not_found.
func (s *Decisions) ApplyEdit(ctx context.Context, in contract.ApplyEditInput) error {
	applied, err := s.queries.ApplyEdit(ctx, dbsqlc.ApplyEditParams{ID: in.EditID, EmailID: in.Email.ID})
	if err == nil && applied.Found == 0 {
		err = ledger.NoSuchEdit()
	}
	return classify(fmt.Sprintf("apply edit %d of email %d", in.EditID, in.Email.ID), err)
}

// Edits returns the edits of an email, applied or not, oldest first; never nil.
func (s *Decisions) Edits(ctx context.Context, emailID int64) ([]ledger.EditRow, error) {
	rows, _ := s.pool.Query(ctx, dbsqlc.ListEdits, emailID) // its error comes with the rows
	list, err := pgx.AppendRows([]ledger.EditRow{}, rows, pgx.RowToStructByName[ledger.EditRow])
	return list, classify(fmt.Sprintf("read edits of email %d", emailID), err)
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
