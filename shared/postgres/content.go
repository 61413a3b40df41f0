package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// RemoveContent takes the content from up to limit emails that were discarded
// before: what is left of each is its record (ids, hashes, sizes, addresses, names and
// verdicts of attachments). It notes in the same transaction, for BeginRemoval to begin with,
// which objects are no longer wanted, and returns the number of emails.
func (s *Removal) RemoveContent(ctx context.Context, before time.Time, limit int) (int64, error) {
	var removed int64
	for ; removed < int64(limit); removed++ {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			// One email per transaction: an entry of the audit chain is the last thing in it.
			id, err := s.queries.WithTx(tx).RemoveContent(ctx, dbsqlc.RemoveContentParams{
				Before: before, Subject: `^([^\n]*\n[^\n]*\n)[^\n]*`, // the third line, see searchText
			})
			if err != nil {
				return err
			}
			_, err = AppendAudit(ctx, tx, ledger.AuditRecord{
				Kind: ledger.AuditDiscardContent, EmailID: id, Actor: contract.ActorSystem, Via: string(contract.ViaPolicy),
			})
			return err
		})
		if errors.Is(err, pgx.ErrNoRows) {
			break
		}
		if err != nil {
			return removed, classify("remove content of discarded emails", err)
		}
	}

	return removed, nil
}

// ForgetSamples takes the samples out of dry runs that are older than age: they hold
// subjects and addresses, and the mail may be gone.
func (s *Removal) ForgetSamples(ctx context.Context, age time.Duration) error {
	err := s.queries.ForgetSamples(ctx, age)
	return classify("forget samples of dry runs", err)
}
