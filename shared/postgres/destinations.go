package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
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
	rows, err := s.queries.ListControls(ctx)
	if err != nil {
		return nil, classify("read destination controls", err)
	}

	list := make([]ledger.Control, len(rows))
	for i, r := range rows {
		list[i] = ledger.Control{
			Destination: r.Destination, Paused: r.Paused, Actor: r.Actor, Note: r.Note, At: afterEpoch(r.At), GoneUntil: afterEpoch(r.GoneUntil),
			RecoveredAt: afterEpoch(r.RecoveredAt), AskedAt: afterEpoch(r.AskedAt), AskedUntil: afterEpoch(r.AskedUntil),
		}
	}
	return list, nil
}

// afterEpoch returns the zero time for the epoch, by which statements say that there is none.
func afterEpoch(t time.Time) time.Time {
	if t.Unix() == 0 {
		return time.Time{}
	}
	return t
}

// orEpoch returns the epoch for nil.
func orEpoch(t *time.Time) time.Time {
	if t == nil {
		return time.Unix(0, 0)
	}
	return *t
}

// SetControl writes what the workers are to obey, and that it was said into the
// audit chain, both or neither. c.At is the database's now.
func (s *Deliveries) SetControl(ctx context.Context, c ledger.Control, via contract.Via) error {
	action := "resume"
	if c.Paused {
		action = "pause"
	}

	body, err := json.Marshal(map[string]string{"action": action, "destination": c.Destination, "note": c.Note})
	if err != nil {
		return fmt.Errorf("control destination %s: %w", c.Destination, err)
	}

	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		err := s.queries.WithTx(tx).SetControl(ctx, dbsqlc.SetControlParams{
			Destination: clean(c.Destination), Paused: c.Paused, Actor: clean(c.Actor), Note: clean(c.Note),
		})
		if err != nil {
			return err
		}
		_, err = AppendAudit(ctx, tx, ledger.AuditRecord{
			Kind: ledger.AuditDestination, Actor: c.Actor, Via: string(via), Body: body,
		})
		return err
	})
	return classify("control destination "+c.Destination, err)
}

// SaveGone writes that a destination has just answered 410, and that nothing is sent
// to it for a while. A repeat begins that time anew.
func (s *Deliveries) SaveGone(ctx context.Context, destination string, lasts time.Duration) error {
	err := s.queries.SaveGone(ctx, dbsqlc.SaveGoneParams{Destination: clean(destination), Lasts: lasts})
	return classify("save that destination "+destination+" is gone", err)
}

// SaveRecovered writes that a destination has just taken mail although it was stopped or
// had asked to be left alone, and ends the stop.
func (s *Deliveries) SaveRecovered(ctx context.Context, destination string) error {
	return classify("save that destination "+destination+" has recovered", s.queries.SaveRecovered(ctx, clean(destination)))
}

// SaveAsked writes that a destination has just asked to be left alone for a while. The
// last word counts.
func (s *Deliveries) SaveAsked(ctx context.Context, destination string, wait time.Duration) error {
	err := s.queries.SaveAsked(ctx, dbsqlc.SaveAskedParams{Destination: clean(destination), Wait: wait})
	return classify("save what destination "+destination+" asks for", err)
}

// SaveDestinationStatus writes what a worker knows of its destinations, in one
// statement, and forgets workers that have been silent for a day.
func (s *Deliveries) SaveDestinationStatus(ctx context.Context, worker string, list []ledger.DestinationStatus) error {
	n := len(list)
	p := dbsqlc.SaveDestinationStatusParams{
		Worker: clean(worker), Kept: statusKept, Destination: make([]string, n), Breaker: make([]string, n),
		InFlight: make([]int32, n), ProbeAt: make([]time.Time, n), GoneUntil: make([]time.Time, n), LastSuccessAt: make([]time.Time, n),
		LastFailureAt: make([]time.Time, n), LastFailure: make([]string, n),
	}
	for i, d := range list {
		p.Destination[i], p.Breaker[i], p.LastFailure[i] = d.Destination, d.Breaker, clean(d.LastFailure)
		p.InFlight[i] = int32(d.InFlight) //nolint:gosec // G115: bounded by the configuration
		p.ProbeAt[i] = orEpoch(d.ProbeAt)
		p.GoneUntil[i], p.LastSuccessAt[i], p.LastFailureAt[i] = orEpoch(d.GoneUntil), orEpoch(d.LastSuccessAt), orEpoch(d.LastFailureAt)
	}

	err := s.queries.SaveDestinationStatus(ctx, p)
	return classify("save status of destinations", err)
}

// DestinationStatuses returns what the workers said of the destinations.
func (s *Deliveries) DestinationStatuses(ctx context.Context) ([]ledger.DestinationStatus, error) {
	rows, err := s.queries.ListDestinationStatus(ctx, statusFresh)
	if err != nil {
		return nil, classify("read status of destinations", err)
	}

	list := make([]ledger.DestinationStatus, len(rows))
	for i, r := range rows {
		list[i] = ledger.DestinationStatus{
			Destination: r.Destination, Worker: r.Worker, Breaker: r.Breaker, InFlight: int(r.InFlight),
			ProbeAt: r.ProbeAt, GoneUntil: orNull(afterEpoch(r.GoneUntil)), LastSuccessAt: r.LastSuccessAt, LastFailureAt: r.LastFailureAt,
			LastFailure: r.LastFailure, UpdatedAt: r.UpdatedAt, Fresh: r.Fresh,
		}
	}
	return list, nil
}

// Backlogs counts, by destination, the open emails of tenants (nil: of all) that a
// destination has not taken.
func (s *Deliveries) Backlogs(ctx context.Context, tenants []string) (map[string]ledger.Backlog, error) {
	// Planned with the arguments each time: few tenants need another plan than all.
	rows, _ := s.pool.Query(ctx, dbsqlc.CountBacklogs, pgx.QueryExecModeCacheDescribe, orAll(tenants))
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[dbsqlc.CountBacklogsRow])
	if err != nil {
		return nil, classify("count backlogs", err)
	}

	out := make(map[string]ledger.Backlog, len(list))
	for _, b := range list {
		out[b.Destination] = ledger.Backlog{Retrying: b.Retrying, Held: b.Held, Oldest: &b.Oldest, NextAttemptAt: orNull(afterEpoch(b.NextAttemptAt))}
	}
	return out, nil
}

// orAll returns NULL, which stands for every tenant, for nil alone.
func orAll(tenants []string) []string {
	if tenants == nil {
		return nil
	}
	return cleanAll(tenants)
}
