package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

const (
	// reportFresh is how old the report of a worker that runs may be; a worker writes one
	// every ten seconds.
	reportFresh = 45 * time.Second
	// reportKept is how long it is remembered that there was a worker.
	reportKept = 7 * 24 * time.Hour
)

// Workers is the store of what workers report of their dependencies.
type Workers struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewWorkers returns the store on db's connections.
func NewWorkers(db *DB) *Workers { return &Workers{pool: db.pool, queries: dbsqlc.New(db.pool)} }

// SaveWorkerReport writes what a worker found, in place of its last report, and forgets
// workers that have been silent for a week.
func (s *Workers) SaveWorkerReport(ctx context.Context, worker string, checks map[string]string) error {
	text, err := json.Marshal(checks)
	if err != nil {
		return fmt.Errorf("encode worker report: %w", err)
	}
	err = s.queries.SaveWorkerReport(ctx, dbsqlc.SaveWorkerReportParams{Worker: clean(worker), Checks: text, Kept: reportKept})
	return classify("save worker report", err)
}

// DeleteWorkerReport forgets a worker that ends.
func (s *Workers) DeleteWorkerReport(ctx context.Context, worker string) error {
	return classify("delete worker report", s.queries.DeleteWorkerReport(ctx, clean(worker)))
}

// WorkerReports returns the last report of each worker.
func (s *Workers) WorkerReports(ctx context.Context) ([]ledger.WorkerReport, error) {
	rows, err := s.queries.ListWorkerReports(ctx, reportFresh)
	if err != nil {
		return nil, classify("read worker reports", err)
	}

	list := make([]ledger.WorkerReport, len(rows))
	for i, r := range rows {
		list[i] = ledger.WorkerReport{Worker: r.Worker, UpdatedAt: r.UpdatedAt, Fresh: r.Fresh}
		if err := json.Unmarshal(r.Checks, &list[i].Checks); err != nil {
			return nil, fmt.Errorf("read report of worker %s: %w", r.Worker, err)
		}
	}
	return list, nil
}
