package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

const (
	// statusFresh is how old a worker's word on a breaker may be.
	statusFresh = 15 * time.Second
	// statusKept is how long the times that a worker saw are remembered after it.
	statusKept = 24 * time.Hour
)

// Controls returns what people last told about destinations, and which of them
// answered 410, ordered by name. Destinations of which there is nothing to say are
// not in it.
func (s *Deliveries) Controls(ctx context.Context) ([]ledger.Control, error) {
	const query = `
SELECT destination, coalesce(c.paused, false), coalesce(c.actor, ''), coalesce(c.note, ''), c.at,
       CASE WHEN g.until > now() AND (c.at IS NULL OR c.paused OR g.at > c.at) THEN g.until END
  FROM destination_controls c FULL JOIN gone_destinations g USING (destination)
 ORDER BY destination`

	rows, _ := s.pool.Query(ctx, query) // its error comes with the rows
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ledger.Control, err error) {
		var at, gone *time.Time
		err = row.Scan(&c.Destination, &c.Paused, &c.Actor, &c.Note, &at, &gone)
		if at != nil {
			c.At = *at
		}
		if gone != nil {
			c.GoneUntil = *gone
		}
		return c, err
	})
	return list, classify("read destination controls", err)
}

// SetControl writes what the workers are to obey, and that it was said into the
// audit chain, both or neither. c.At is the database's now.
func (s *Deliveries) SetControl(ctx context.Context, c ledger.Control, via contract.Via) error {
	const query = `
INSERT INTO destination_controls (destination, paused, actor, note) VALUES (@destination, @paused, @actor, @note)
ON CONFLICT (destination) DO UPDATE SET paused = excluded.paused, actor = excluded.actor, note = excluded.note,
       at = clock_timestamp()`

	action := "resume"
	if c.Paused {
		action = "pause"
	}
	body, err := json.Marshal(map[string]string{"action": action, "destination": c.Destination, "note": c.Note})
	if err != nil {
		return fmt.Errorf("control destination %s: %w", c.Destination, err)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query, pgx.NamedArgs{
			"destination": clean(c.Destination), "paused": c.Paused, "actor": clean(c.Actor), "note": clean(c.Note),
		}); err != nil {
			return err //nolint:wrapcheck // classified below
		}
		_, err := AppendAudit(ctx, tx, ledger.AuditRecord{
			Kind: ledger.AuditDestination, Actor: c.Actor, Via: string(via), Body: body,
		})
		return err
	})
	return classify("control destination "+c.Destination, err)
}

// SaveGone writes that a destination has just answered 410, and that nothing is sent
// to it for a while. A repeat begins that time anew.
func (s *Deliveries) SaveGone(ctx context.Context, destination string, lasts time.Duration) error {
	const query = `
INSERT INTO gone_destinations (destination, at, until)
VALUES (@destination, clock_timestamp(), clock_timestamp() + @lasts::interval)
ON CONFLICT (destination) DO UPDATE SET at = excluded.at, until = excluded.until`

	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{"destination": clean(destination), "lasts": lasts})
	return classify("save that destination "+destination+" is gone", err)
}

// SaveDestinationStatus writes what a worker knows of its destinations, in one
// statement, and forgets workers that have been silent for a day.
func (s *Deliveries) SaveDestinationStatus(ctx context.Context, worker string, list []ledger.DestinationStatus) error {
	const query = `
WITH forgotten AS (
    DELETE FROM destination_status WHERE updated_at < now() - @kept::interval
)
INSERT INTO destination_status (destination, worker, breaker, in_flight, gone_until, last_success_at, last_failure_at,
       last_failure, updated_at)
SELECT n.*, now()
  FROM (SELECT unnest(@destination::text[]), @worker::text, unnest(@breaker::text[]), unnest(@in_flight::int[]),
               unnest(@gone_until::timestamptz[]), unnest(@success::timestamptz[]), unnest(@failed::timestamptz[]),
               unnest(@failure::text[])) n
ON CONFLICT (destination, worker) DO UPDATE SET breaker = excluded.breaker, in_flight = excluded.in_flight,
       gone_until = excluded.gone_until, last_success_at = excluded.last_success_at,
       last_failure_at = excluded.last_failure_at, last_failure = excluded.last_failure, updated_at = excluded.updated_at`

	n := len(list)
	destination, breaker, failure, inFlight := make([]string, n), make([]string, n), make([]string, n), make([]int32, n)
	goneUntil, success, failed := make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	for i, s := range list {
		destination[i], breaker[i], failure[i] = s.Destination, s.Breaker, clean(s.LastFailure)
		inFlight[i] = int32(s.InFlight) //nolint:gosec // G115: bounded by the configuration
		goneUntil[i], success[i], failed[i] = s.GoneUntil, s.LastSuccessAt, s.LastFailureAt
	}
	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{
		"worker": clean(worker), "kept": statusKept, "destination": destination, "breaker": breaker, "in_flight": inFlight,
		"gone_until": goneUntil, "success": success, "failed": failed, "failure": failure,
	})
	return classify("save status of destinations", err)
}

// DestinationStatuses gives what the workers said of the destinations.
func (s *Deliveries) DestinationStatuses(ctx context.Context) ([]ledger.DestinationStatus, error) {
	const query = `
SELECT destination, worker, breaker, in_flight, CASE WHEN gone_until > now() THEN gone_until END, last_success_at,
       last_failure_at, last_failure, updated_at, updated_at > now() - @fresh::interval
  FROM destination_status ORDER BY destination, worker`

	rows, _ := s.pool.Query(ctx, query, pgx.NamedArgs{"fresh": statusFresh})
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s ledger.DestinationStatus, err error) {
		err = row.Scan(&s.Destination, &s.Worker, &s.Breaker, &s.InFlight, &s.GoneUntil, &s.LastSuccessAt, &s.LastFailureAt,
			&s.LastFailure, &s.UpdatedAt, &s.Fresh)
		return s, err
	})
	return list, classify("read status of destinations", err)
}

// Backlogs counts, by destination, the open emails of tenants (nil: of all) that a
// destination has not taken.
func (s *Deliveries) Backlogs(ctx context.Context, tenants []string) (map[string]ledger.Backlog, error) {
	const query = `
SELECT d.destination, count(*) FILTER (WHERE e.state = 'retrying'), count(*) FILTER (WHERE e.state = 'quarantined'),
       min(e.received_at)
  FROM deliveries d JOIN emails e ON e.id = d.email_id
 WHERE d.state NOT IN ('delivered', 'skipped') AND e.state IN ('retrying', 'quarantined')
   AND (@tenants::text[] IS NULL OR e.tenant = ANY(@tenants))
 GROUP BY d.destination`

	rows, _ := s.pool.Query(ctx, query, pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{"tenants": orAll(tenants)})
	out := map[string]ledger.Backlog{}
	var (
		name string
		b    ledger.Backlog
	)
	_, err := pgx.ForEachRow(rows, []any{&name, &b.Retrying, &b.Held, &b.Oldest}, func() error {
		out[name] = b
		return nil
	})
	return out, classify("count backlogs", err)
}

// orAll gives NULL, which stands for every tenant, for nil alone.
func orAll(tenants []string) []string {
	if tenants == nil {
		return nil
	}
	return cleanAll(tenants)
}
