package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
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
	queueRows(&batch, dbsqlc.HistoryOfSignals, &h.Signals, emailID)

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

// RecordSignals writes unknown signals of an email, in one statement. A count that is
// smaller than that of the ledger changes nothing.
func (s *Emails) RecordSignals(ctx context.Context, in contract.SignalsInput) error {
	p := dbsqlc.SaveUnknownSignalsParams{EmailID: in.Email.ID}
	for _, one := range in.Signals {
		p.Names, p.Counts = append(p.Names, clean(one.Name)), append(p.Counts, one.Count)
		p.FirstAt = append(p.FirstAt, time.UnixMilli(one.FirstUnixMilli))
		p.LastAt = append(p.LastAt, time.UnixMilli(one.LastUnixMilli))
	}

	err := s.queries.SaveUnknownSignals(ctx, p)
	return classify(fmt.Sprintf("record unknown signals of email %d", in.Email.ID), err)
}
