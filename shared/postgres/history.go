package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// History returns all that the ledger has recorded of an email, in no order. An email
// that the ledger does not know is not_found.
func (s *Views) History(ctx context.Context, emailID int64) (*ledger.History, error) {
	h := &ledger.History{}
	var batch pgx.Batch
	batch.Queue(dbsqlc.HistoryOfEmail, emailID).Query(func(rows pgx.Rows) (err error) {
		h.Email, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[ledger.EmailHistory])
		return absent(err)
	})
	queueRows(&batch, dbsqlc.HistoryOfVerdicts, &h.Verdicts, emailID)
	queueRows(&batch, dbsqlc.HistoryOfSteps, &h.Steps, emailID)
	queueRows(&batch, dbsqlc.HistoryOfAttempts, &h.Attempts, emailID)
	queueRows(&batch, dbsqlc.HistoryOfDeliveries, &h.Ends, emailID)
	queueRows(&batch, dbsqlc.HistoryOfStates, &h.States, emailID)
	queueRows(&batch, dbsqlc.HistoryOfDecisions, &h.Decisions, emailID)
	queueRows(&batch, dbsqlc.HistoryOfReminders, &h.Reminders, emailID)
	queueRows(&batch, dbsqlc.HistoryOfEdits, &h.Edits, emailID)
	queueRows(&batch, dbsqlc.HistoryOfReplays, &h.BatchItems, emailID)

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
