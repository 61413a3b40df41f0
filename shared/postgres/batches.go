package postgres

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// Batches is the store of replays and of decisions about many emails, as operators see them.
type Batches struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewBatches returns the store on db's connections.
func NewBatches(db *DB) *Batches { return &Batches{pool: db.pool, queries: dbsqlc.New(db.pool)} }

func replayOf(r dbsqlc.FindReplayRow) (*ledger.ReplayRow, error) {
	out := &ledger.ReplayRow{
		ID: r.ID, Action: r.Action, From: ledger.ReplayFrom(r.FromStep), DryRun: r.DryRun, NewEffect: r.NewEffect, Note: r.Note,
		Actor: r.Actor, Via: r.Via, Cause: r.Cause, Rate: r.Rate, AtOnce: int(r.AtOnce), StartedFrom: r.StartedFrom,
		Key: r.RequestKey, State: r.State, CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, EndedAt: r.EndedAt,
		Total: r.Total, Done: r.Done, Skipped: r.Skipped, Failed: r.Failed, Pace: r.Pace, Left: -1,
	}
	if r.StartedAs != 0 {
		out.StartedAs = &r.StartedAs
	}
	if rest := r.Total - r.Done - r.Skipped - r.Failed; r.State.Final() || (rest <= 0 && r.Total >= 0) {
		out.Left = 0
	} else if r.Total >= 0 && r.Pace > 0 {
		out.Left = float64(rest) / r.Pace
	}

	if err := json.Unmarshal(r.Filter, &out.Filter); err != nil {
		return nil, fmt.Errorf("decode filter: %w", err)
	}
	if err := json.Unmarshal(r.Results, &out.Results); err != nil {
		return nil, fmt.Errorf("decode results: %w", err)
	}
	if r.Preview != nil {
		if err := json.Unmarshal(r.Preview, &out.Preview); err != nil {
			return nil, fmt.Errorf("decode preview: %w", err)
		}
	}
	return out, nil
}

// uniqueViolation is the SQLSTATE of a row that is there already.
const uniqueViolation = "23505"

// CreateReplay inserts a replay, fixes which emails it is about, and returns its
// id. A dry run leaves no entry in the audit chain. What was begun already by the
// same dry run, or the same key of the same actor, is given instead and created is
// false. Where its cause has a replay that is under way it is decision_refused.
func (s *Batches) CreateReplay(ctx context.Context, in ledger.NewReplay) (id int64, created bool, err error) {
	filter, err := json.Marshal(in.Filter)
	if err != nil {
		return 0, false, fmt.Errorf("encode filter: %w", err)
	}

	if in.AtOnce <= 0 {
		in.AtOnce = contract.DefaultAtOnce
	}

	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var err error
		id, err = s.queries.WithTx(tx).InsertReplay(ctx, dbsqlc.InsertReplayParams{
			Action: string(in.Action), FromStep: string(in.From), Filter: filter, DryRun: in.DryRun, NewEffect: in.NewEffect,
			Note: clean(in.Note), Actor: clean(in.Actor), Person: clean(in.Person), Via: string(in.Via), Cause: in.Cause,
			Rate: in.Rate, AtOnce: int32(in.AtOnce), StartedFrom: in.StartedFrom, RequestKey: in.Key, //nolint:gosec // small
		})
		if err != nil || in.DryRun {
			return err
		}
		return auditReplay(ctx, tx, id, in)
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == uniqueViolation {
		if pg.ConstraintName == "replays_cause" {
			return 0, false, ledger.RecoveryRunning()
		}
		id, err = s.begun(ctx, in)
		return id, false, err
	}

	return id, err == nil, classify("create replay", err)
}

// begun finds the replay that the same dry run or key has begun.
func (s *Batches) begun(ctx context.Context, in ledger.NewReplay) (id int64, err error) {
	id, err = s.queries.FindStartedReplay(ctx, dbsqlc.FindStartedReplayParams{
		StartedFrom: in.StartedFrom, RequestKey: in.Key, Actor: clean(in.Actor),
	})
	return id, classify("find replay", err)
}

// auditReplay keeps who asked for what. The texts of the filter are not repeated,
// because entries are kept for ever: its hash proves what they were.
func auditReplay(ctx context.Context, tx pgx.Tx, id int64, in ledger.NewReplay) error {
	body, err := json.Marshal(map[string]any{
		"replay": id, "action": in.Action, "from": ledger.ReplayFrom(in.From), "new_effect": in.NewEffect, "note": in.Note,
		"rate": in.Rate, "cause": in.Cause, "state": in.Filter.State, "reason": in.Filter.Reason, "source": in.Filter.Source,
		"destination": in.Filter.Destination, "emails": in.Filter.Emails,
	})
	if err != nil {
		return fmt.Errorf("encode replay: %w", err)
	}
	_, err = AppendAudit(ctx, tx, ledger.AuditRecord{
		Kind: ledger.AuditReplay, Tenant: in.Filter.Tenant, Actor: in.Actor, Via: string(in.Via), Body: body,
	})
	return err
}

// Replay reads one replay; one that is not there is not_found.
func (s *Batches) Replay(ctx context.Context, id int64) (*ledger.ReplayRow, error) {
	return readReplay(ctx, s.queries, id)
}

func readReplay(ctx context.Context, queries *dbsqlc.Queries, id int64) (*ledger.ReplayRow, error) {
	r, err := queries.FindReplay(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ledger.NoSuchReplay()
	}
	if err != nil {
		return nil, classify(fmt.Sprintf("read replay %d", id), err)
	}
	out, err := replayOf(r)
	return out, classify(fmt.Sprintf("read replay %d", id), err)
}

// Replays lists replays, newest first, and returns the cursor of the next page, which
// is empty on the last. Callers that may see some tenants see replays alone that were
// limited to them.
func (s *Batches) Replays(ctx context.Context, f ledger.ReplayFilter) ([]ledger.ReplayRow, string, error) {
	before, err := parseCursor(f.Cursor)
	if err != nil {
		return nil, "", err
	}

	limit := f.Limit
	if limit <= 0 {
		limit = ledger.DefaultLimit
	}
	limit = min(limit, ledger.MaxLimit)
	rows, err := s.queries.ListReplays(ctx, dbsqlc.ListReplaysParams{
		DryRuns: f.DryRuns, Before: before, Tenants: f.Tenants, MaxRows: int64(limit) + 1,
	})
	if err != nil {
		return nil, "", classify("list replays", err)
	}

	list := make([]ledger.ReplayRow, len(rows))
	for i, row := range rows {
		r, err := replayOf(dbsqlc.FindReplayRow(row))
		if err != nil {
			return nil, "", classify("list replays", err)
		}
		list[i] = *r
	}
	if len(list) <= limit {
		return list, "", nil
	}
	list = list[:limit]
	return list, cursorAfter(list[limit-1].ID), nil
}

// ReplayOutcomes says what became of the emails that a replay has done.
func (s *Batches) ReplayOutcomes(ctx context.Context, id int64) (*ledger.ReplayOutcomes, error) {
	rows, err := s.queries.ReplayOutcomes(ctx, dbsqlc.ReplayOutcomesParams{ID: id, MaxRows: ledger.MaxOutcomes})
	if err != nil {
		return nil, classify(fmt.Sprintf("read outcomes of replay %d", id), err)
	}

	out := &ledger.ReplayOutcomes{ByState: map[contract.State]int64{}, HeldFor: map[contract.Reason]int64{}}
	for _, r := range rows {
		out.Emails += r.Count
		out.ByState[contract.State(r.State)] += r.Count
		if contract.State(r.State) == contract.Quarantined {
			out.HeldFor[contract.Reason(r.Reason)] += r.Count
		}
	}
	return out, nil
}

// ReplayItems lists the emails that a replay has come to, oldest first, and returns
// the cursor of the next page.
func (s *Batches) ReplayItems(ctx context.Context, f ledger.ReplayItemFilter) ([]ledger.ReplayItem, string, error) {
	after, err := parseCursor(f.Cursor)
	if err != nil {
		return nil, "", err
	}

	if f.Limit <= 0 {
		f.Limit = ledger.DefaultLimit
	}

	f.Limit = min(f.Limit, ledger.MaxLimit)
	rows, err := s.queries.ListReplayItems(ctx, dbsqlc.ListReplayItemsParams{
		ReplayID: f.ReplayID, Effect: contract.ReplayEffect(f.ReplayID), After: after, State: string(f.State),
		Code: string(f.Code), MaxRows: int64(f.Limit) + 1,
	})
	list := make([]ledger.ReplayItem, len(rows))

	for i, r := range rows {
		list[i] = ledger.ReplayItem(r)
	}

	if err != nil || len(list) <= f.Limit {
		return list, "", classify(fmt.Sprintf("list emails of replay %d", f.ReplayID), err)
	}

	return list[:f.Limit], base64.RawURLEncoding.EncodeToString(
		binary.BigEndian.AppendUint64(nil, uint64(list[f.Limit-1].Number))), nil //nolint:gosec // ids are positive
}

// ControlReplay moves a replay that has not ended to another state, or sets its rate,
// and reads it. What cannot be done any more is decision_refused.
func (s *Batches) ControlReplay(ctx context.Context, in contract.ReplayControlInput) (*ledger.ReplayRow, error) {
	changed, err := s.queries.ControlReplay(ctx, dbsqlc.ControlReplayParams{
		ID: in.ID, State: string(in.State), Rate: in.Rate, Final: in.State.Final(),
	})
	if err != nil {
		return nil, classify(fmt.Sprintf("control replay %d", in.ID), err)
	}
	r, err := s.Replay(ctx, in.ID)
	if err == nil && changed == 0 {
		return r, ledger.ReplayEnded(r.State)
	}
	return r, err
}
