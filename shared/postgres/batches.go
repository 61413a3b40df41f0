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
)

// Batches is the store of replays and of decisions about many emails, as operators see them.
type Batches struct {
	pool *pgxpool.Pool
}

// NewBatches returns the store on db's connections.
func NewBatches(db *DB) *Batches { return &Batches{pool: db.pool} }

const selectReplay = `
SELECT r.id, r.action, r.from_step, r.filter, r.dry_run, r.new_effect, r.note, r.actor, r.via, r.cause, r.rate, r.at_once,
       r.started_from, (SELECT s.id FROM replays s WHERE s.started_from = r.id), r.request_key,
       r.state, r.created_at, r.started_at, r.ended_at, r.total, r.done, r.skipped, r.failed,
       CASE WHEN r.state = 'running' AND r.paced_at > now() - interval '15 seconds' THEN r.pace ELSE 0 END, r.preview,
       coalesce((SELECT jsonb_object_agg(c.code, c.count) FROM replay_counts c WHERE c.replay_id = r.id), '{}')
  FROM replays r`

func scanReplay(row pgx.Row, r *ledger.ReplayRow) error {
	var step contract.Step
	var filter, preview, results []byte
	err := row.Scan(&r.ID, &r.Action, &step, &filter, &r.DryRun, &r.NewEffect, &r.Note, &r.Actor, &r.Via, &r.Cause, &r.Rate,
		&r.AtOnce, &r.StartedFrom, &r.StartedAs, &r.Key, &r.State, &r.CreatedAt, &r.StartedAt, &r.EndedAt, &r.Total, &r.Done, &r.Skipped, &r.Failed, &r.Pace,
		&preview, &results)
	if err != nil {
		return err
	}
	r.From, r.Left = ledger.ReplayFrom(step), -1
	if rest := r.Total - r.Done - r.Skipped - r.Failed; r.State.Final() || (rest <= 0 && r.Total >= 0) {
		r.Left = 0
	} else if r.Total >= 0 && r.Pace > 0 {
		r.Left = float64(rest) / r.Pace
	}
	if err := json.Unmarshal(filter, &r.Filter); err != nil {
		return fmt.Errorf("decode filter: %w", err)
	}
	if err := json.Unmarshal(results, &r.Results); err != nil {
		return fmt.Errorf("decode results: %w", err)
	}
	if preview != nil {
		if err := json.Unmarshal(preview, &r.Preview); err != nil {
			return fmt.Errorf("decode preview: %w", err)
		}
	}
	return nil
}

// uniqueViolation is the SQLSTATE of a row that is there already.
const uniqueViolation = "23505"

// CreateReplay writes a replay down, fixes which emails it is about, and gives its
// id. A dry run leaves no entry in the audit chain. What was begun already by the
// same dry run, or the same key of the same actor, is given instead and created is
// false. Where its cause has a replay that is under way it is decision_refused.
func (s *Batches) CreateReplay(ctx context.Context, in ledger.NewReplay) (id int64, created bool, err error) {
	// Emails that were accepted in transactions still open get ids that are taken:
	// they may be chosen or not, as if they had come a moment earlier or later. The same
	// goes for changes of state. last_sequence is for older programs.
	const insert = `
INSERT INTO replays (action, from_step, filter, dry_run, new_effect, note, actor, person, via, cause, rate, at_once,
       started_from, request_key, last_id, last_sequence, last_change)
SELECT @action, @from, @filter, @dry_run, @new_effect, @note, @actor, @person, @via, @cause, @rate, @at_once,
       nullif(@started_from::bigint, 0), @key, coalesce((SELECT max(id) FROM emails), 0), (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
       (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM email_changes)
RETURNING id`

	filter, err := json.Marshal(in.Filter)
	if err != nil {
		return 0, false, fmt.Errorf("encode filter: %w", err)
	}
	if in.AtOnce <= 0 {
		in.AtOnce = contract.DefaultAtOnce
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, insert, pgx.NamedArgs{
			"action": string(in.Action), "from": string(in.From), "filter": string(filter), "dry_run": in.DryRun,
			"new_effect": in.NewEffect, "note": clean(in.Note), "actor": clean(in.Actor), "person": clean(in.Person), "via": string(in.Via),
			"cause": in.Cause, "rate": in.Rate, "at_once": in.AtOnce, "started_from": in.StartedFrom, "key": in.Key,
		}).Scan(&id)
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
	const query = `
SELECT id FROM replays
 WHERE started_from = nullif(@started_from::bigint, 0) OR (request_key <> '' AND request_key = @key AND actor = @actor)
 ORDER BY id LIMIT 1`

	err = s.pool.QueryRow(ctx, query, pgx.NamedArgs{
		"started_from": in.StartedFrom, "key": in.Key, "actor": clean(in.Actor),
	}).Scan(&id)
	return id, classify("find replay", err)
}

// auditReplay keeps who asked for what. The texts of the filter are not repeated,
// because entries are kept for ever: its hash proves what they were.
func auditReplay(ctx context.Context, tx pgx.Tx, id int64, in ledger.NewReplay) error {
	body, err := json.Marshal(map[string]any{
		"replay": id, "action": in.Action, "from": ledger.ReplayFrom(in.From), "new_effect": in.NewEffect, "note": in.Note,
		"rate": in.Rate, "cause": in.Cause, "state": in.Filter.State, "reason": in.Filter.Reason, "source": in.Filter.Source,
		"destination": in.Filter.Destination,
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
	return readReplay(ctx, s.pool, id)
}

func readReplay(ctx context.Context, pool *pgxpool.Pool, id int64) (*ledger.ReplayRow, error) {
	r := &ledger.ReplayRow{}
	err := scanReplay(pool.QueryRow(ctx, selectReplay+` WHERE r.id = @id`, pgx.NamedArgs{"id": id}), r)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ledger.NoSuchReplay()
	}
	return r, classify(fmt.Sprintf("read replay %d", id), err)
}

// Replays lists replays, newest first, and gives the cursor of the next page, which
// is empty on the last. tenants are those whose replays the asker may see; nil means
// all, and whoever sees some sees those alone that were limited to them.
func (s *Batches) Replays(ctx context.Context, tenants []string, cursor string, limit int) ([]ledger.ReplayRow, string, error) {
	const which = `
 WHERE (@before::bigint = 0 OR r.id < @before)
   AND (@tenants::text[] IS NULL OR r.filter->>'tenant' = ANY(@tenants::text[])
        OR (jsonb_typeof(r.filter->'tenants') = 'array' AND r.filter->'tenants' <@ to_jsonb(@tenants::text[])))
 ORDER BY r.id DESC LIMIT @limit`

	before, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	if limit <= 0 {
		limit = ledger.DefaultLimit
	}
	limit = min(limit, ledger.MaxLimit)
	rows, _ := s.pool.Query(ctx, selectReplay+which, pgx.NamedArgs{"before": before, "tenants": tenants, "limit": limit + 1})
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r ledger.ReplayRow, err error) {
		err = scanReplay(row, &r)
		return r, err
	})
	if err != nil || len(list) <= limit {
		return list, "", classify("list replays", err)
	}
	list = list[:limit]
	return list, cursorAfter(list[limit-1].ID), nil
}

// ReplayItems lists the emails that a replay has come to, oldest first, and gives
// the cursor of the next page.
func (s *Batches) ReplayItems(ctx context.Context, f ledger.ReplayItemFilter) ([]ledger.ReplayItem, string, error) {
	const query = `
SELECT i.email_id, e.event_id, e.workflow_id, e.source, i.state, i.code, i.detail, i.at, e.state, e.reason,
       (SELECT count(*) FROM deliveries d WHERE d.email_id = e.id AND d.effect = @effect AND d.state = 'delivered'),
       (SELECT count(*) FROM deliveries d WHERE d.email_id = e.id AND d.effect = @effect AND d.state = 'skipped')
  FROM replay_items i JOIN emails e ON e.id = i.email_id
 WHERE i.replay_id = @id AND i.email_id > @after
   AND (@state::text = '' OR i.state = @state) AND (@code::text = '' OR i.code = @code)
 ORDER BY i.email_id LIMIT @limit`

	after, err := parseCursor(f.Cursor)
	if err != nil {
		return nil, "", err
	}
	if f.Limit <= 0 {
		f.Limit = ledger.DefaultLimit
	}
	f.Limit = min(f.Limit, ledger.MaxLimit)
	rows, _ := s.pool.Query(ctx, query, pgx.NamedArgs{
		"id": f.ReplayID, "effect": contract.ReplayEffect(f.ReplayID), "after": after, "state": string(f.State),
		"code": string(f.Code), "limit": f.Limit + 1,
	})
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (i ledger.ReplayItem, err error) {
		err = row.Scan(&i.Number, &i.EventID, &i.WorkflowID, &i.Source, &i.State, &i.Code, &i.Detail, &i.At, &i.EmailState,
			&i.EmailReason, &i.Sent, &i.Same)
		return i, err
	})
	if err != nil || len(list) <= f.Limit {
		return list, "", classify(fmt.Sprintf("list emails of replay %d", f.ReplayID), err)
	}
	return list[:f.Limit], base64.RawURLEncoding.EncodeToString(
		binary.BigEndian.AppendUint64(nil, uint64(list[f.Limit-1].Number))), nil //nolint:gosec // ids are positive
}

// ControlReplay moves a replay that is not at its end to another state, or gives it
// another rate, and reads it. What cannot be done any more is decision_refused.
func (s *Batches) ControlReplay(ctx context.Context, in contract.ReplayControlInput) (*ledger.ReplayRow, error) {
	const update = `
UPDATE replays SET state = coalesce(nullif(@state::text, ''), state), rate = coalesce(@rate::float8, rate),
       ended_at = CASE WHEN @final THEN now() END
 WHERE id = @id AND (state IN ('running', 'paused') OR state = @state::text)`

	tag, err := s.pool.Exec(ctx, update, pgx.NamedArgs{
		"id": in.ID, "state": string(in.State), "rate": in.Rate, "final": in.State.Final(),
	})
	if err != nil {
		return nil, classify(fmt.Sprintf("control replay %d", in.ID), err)
	}
	r, err := s.Replay(ctx, in.ID)
	if err == nil && tag.RowsAffected() == 0 {
		return r, ledger.ReplayEnded(r.State)
	}
	return r, err
}
