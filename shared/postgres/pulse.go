package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/postgres/dbsqlc"
)

// Pulse returns tokens that differ once something has changed: by topic (emails,
// held, destinations, replays), and for each of the emails with these ids. It reads
// one end of an index, the open emails, and the counters that PostgreSQL keeps
// anyway; the latter run behind by up to ten seconds, the rest by nothing.
func (s *Views) Pulse(ctx context.Context, emails []int64) (topics map[string]string, states map[int64]string, err error) {
	// What PostgreSQL counts by itself; sqlc does not know its views.
	const written = `
SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE relname IN ('emails', 'deliveries')), 0)::bigint,
       coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE relname LIKE 'destination%'), 0)::bigint,
       coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE relname LIKE 'replay%'), 0)::bigint
  FROM pg_stat_user_tables WHERE schemaname = current_schema()`

	var (
		last, held, decision, mail, places, replays int64
		which                                       string
		batch                                       pgx.Batch
	)
	states = map[int64]string{}
	batch.Queue(dbsqlc.PulseEmails).QueryRow(func(row pgx.Row) error { return row.Scan(&last) })
	batch.Queue(dbsqlc.PulseHeld).QueryRow(func(row pgx.Row) error { return row.Scan(&held, &which) })
	batch.Queue(dbsqlc.PulseDecisions).QueryRow(func(row pgx.Row) error { return row.Scan(&decision) })
	batch.Queue(written).QueryRow(func(row pgx.Row) error { return row.Scan(&mail, &places, &replays) })
	if len(emails) > 0 {
		batch.Queue(dbsqlc.PulseWatched, emails).Query(func(rows pgx.Rows) error {
			var (
				id    int64
				state string
			)
			_, err := pgx.ForEachRow(rows, []any{&id, &state}, func() error { states[id] = state; return nil })
			return err
		})
	}
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, nil, classify("look for changes", err)
	}
	return map[string]string{
		"emails":       fmt.Sprintf("%d/%d/%s/%d/%d", last, held, which, decision, mail),
		"held":         fmt.Sprintf("%d/%s", held, which),
		"destinations": fmt.Sprint(places),
		"replays":      fmt.Sprint(replays),
	}, states, nil
}
