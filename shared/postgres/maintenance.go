package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// Maintenance finds emails and batches that wait for something that has recovered.
type Maintenance struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewMaintenance returns the store on db's connections.
func NewMaintenance(db *DB) *Maintenance {
	return &Maintenance{pool: db.pool, queries: dbsqlc.New(db.pool)}
}

// ListOutages counts the emails that each unavailable dependency holds, by cause. A
// destination is a cause of its own. A cause whose replay is running is left out.
func (s *Maintenance) ListOutages(ctx context.Context) ([]ledger.Held, error) {
	rows, err := s.queries.ListOutages(ctx)
	if err != nil {
		return nil, classify("list outages", err)
	}

	list := make([]ledger.Held, len(rows))
	for i, r := range rows {
		list[i] = ledger.Held{Cause: r.Cause, Reason: contract.Reason(r.Reason), Destination: r.Destination, Count: r.Count}
	}
	return list, nil
}

// Canary returns the oldest email that is held for a cause, but for the first skip of
// them; false means that there is none.
func (s *Maintenance) Canary(ctx context.Context, h ledger.Held, skip int64) (ledger.ReplayEmail, bool, error) {
	query := selectReplayEmail + `
 WHERE e.state = 'quarantined' AND e.reason = @reason
   AND (@destination = '' OR EXISTS (SELECT FROM deliveries d WHERE d.email_id = e.id AND d.destination = @destination
        AND d.state NOT IN ('delivered', 'skipped')))
 ORDER BY e.id LIMIT 1 OFFSET @skip`

	rows, _ := s.pool.Query(ctx, query, pgx.NamedArgs{"reason": string(h.Reason), "destination": h.Destination, "skip": skip})
	e, err := pgx.CollectExactlyOneRow(rows, scanReplayEmail)
	if errors.Is(err, pgx.ErrNoRows) {
		return e, false, nil
	}
	return e, err == nil, classify("choose a canary", err)
}

// EmailState returns the state of an email and why it is in it.
func (s *Maintenance) EmailState(ctx context.Context, id int64) (state contract.State, reason contract.Reason, err error) {
	r, err := s.queries.EmailState(ctx, id)
	return r.State, r.Reason, classify(fmt.Sprintf("read state of email %d", id), absent(err))
}

// EmailWorkflow returns the ID of an email's workflow.
func (s *Maintenance) EmailWorkflow(ctx context.Context, id int64) (workflowID string, err error) {
	workflowID, err = s.queries.EmailWorkflow(ctx, id)
	return workflowID, classify(fmt.Sprintf("read workflow of email %d", id), absent(err))
}

// Recovery reads what is being done about a cause; at first nothing is.
func (s *Maintenance) Recovery(ctx context.Context, cause string) (ledger.Recovery, error) {
	r, err := s.queries.FindRecovery(ctx, cause)
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.Recovery{Cause: cause}, nil
	}
	return ledger.Recovery{
		Cause: cause, Canary: r.Canary, Failures: int(r.Failures), TriedAt: orZero(r.TriedAt), NextAt: r.NextAt,
	}, classify("read recovery of "+cause, err)
}

// SaveRecovery writes it down.
func (s *Maintenance) SaveRecovery(ctx context.Context, r ledger.Recovery) error {
	err := s.queries.SaveRecovery(ctx, dbsqlc.SaveRecoveryParams{
		Cause: r.Cause, Canary: r.Canary, Failures: int32(r.Failures), TriedAt: orNull(r.TriedAt), NextAt: r.NextAt, //nolint:gosec // small
	})
	return classify("save recovery of "+r.Cause, err)
}
