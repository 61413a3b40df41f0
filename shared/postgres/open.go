package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
)

// OpenEmails is how many emails are in a state that is not terminal and not
// processing, for one reason.
type OpenEmails struct {
	State  contract.State
	Reason contract.Reason
	Count  int64
}

// CountOpen counts the emails that wait, for something or for a person. It reads
// a partial index of just those.
func (db *DB) CountOpen(ctx context.Context) ([]OpenEmails, error) {
	const query = `
SELECT state, reason, count(*) FROM emails
 WHERE state IN ('retrying', 'quarantined')
 GROUP BY state, reason`

	rows, err := db.pool.Query(ctx, query)
	if err != nil {
		return nil, classify("count open emails", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OpenEmails])
	return out, classify("count open emails", err)
}
