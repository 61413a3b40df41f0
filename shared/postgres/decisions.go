package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// Decisions is the store of intents, decisions, edits and reminders.
type Decisions struct {
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
}

// NewDecisions returns the store on db's connections.
func NewDecisions(db *DB) *Decisions { return &Decisions{pool: db.pool, queries: dbsqlc.New(db.pool)} }

// intentAge is how long an intent about one email may be carried out. Whoever can
// reach Temporal alone could otherwise send one again that was never taken. Those
// of a replay have no such end: a replay may be paced over days.
const intentAge = time.Hour

// CreateIntent writes an intent down and gives its id. A repeat is another intent.
func (s *Decisions) CreateIntent(ctx context.Context, in ledger.Intent) (int64, error) {
	const insert = `
INSERT INTO intents (email_id, replay_id, action, actor, person, via, note, edit_id, from_step)
VALUES (nullif(@email::bigint, 0), nullif(@replay::bigint, 0), @action, @actor, @person, @via, @note, nullif(@edit::bigint, 0), @from)
RETURNING id`

	var id int64
	err := s.pool.QueryRow(ctx, insert, pgx.NamedArgs{
		"email": in.EmailID, "replay": in.ReplayID, "action": string(in.Action), "actor": clean(in.Actor), "person": clean(in.Person), "via": string(in.Via),
		"note": clean(in.Note), "edit": in.EditID, "from": string(in.From),
	}).Scan(&id)
	return id, classify(fmt.Sprintf("create intent about email %d", in.EmailID), err)
}

// Intent reads what an intent says for an email; one of a replay is for those
// emails that the replay has come to. It is decision_refused where
// there is none for that email, or one that nobody waits for any more.
func (s *Decisions) Intent(ctx context.Context, in contract.IntentInput) (contract.IntentResult, error) {
	const query = `
SELECT i.action, i.actor, i.person, i.via, coalesce(i.edit_id, 0), i.from_step, coalesce(y.id, 0), coalesce(y.new_effect, false),
       EXISTS (SELECT FROM decisions d WHERE d.email_id = @email AND d.intent_id = i.id),
       i.replay_id IS NULL AND i.created_at < now() - @age::interval,
       coalesce((SELECT b.filter->>'reason' FROM replays b WHERE b.id = i.replay_id AND i.action = 'approve'), '')
  FROM intents i LEFT JOIN replays y ON y.id = i.replay_id AND y.action = 'replay' AND i.from_step <> ''
 WHERE i.id = @intent AND (i.email_id = @email OR EXISTS (
       SELECT FROM replay_items r WHERE r.replay_id = i.replay_id AND r.email_id = @email))`

	var out contract.IntentResult
	var old bool
	var replay contract.Replayed
	err := s.pool.QueryRow(ctx, query, pgx.NamedArgs{"intent": in.Intent, "email": in.Email.ID, "age": intentAge}).
		Scan(&out.Action, &out.Actor, &out.Person, &out.Via, &out.EditID, &out.From, &replay.ID, &replay.NewEffect,
			&out.Taken, &old, &out.Only)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return contract.IntentResult{}, ledger.NoSuchIntent()
	case err != nil:
		return contract.IntentResult{}, classify(fmt.Sprintf("read intent %d", in.Intent), err)
	case replay.ID != 0:
		replay.From = out.From
		out.Replay = &replay
	case old && !out.Taken:
		return contract.IntentResult{}, ledger.IntentExpired(intentAge)
	}
	return out, nil
}

// LastDecision gives the newest decision about an email; false means that there is none.
func (s *Decisions) LastDecision(ctx context.Context, emailID int64) (ledger.DecisionRow, bool, error) {
	const query = selectDecision + ` WHERE email_id = @id ORDER BY sequence DESC LIMIT 1`

	rows, err := s.pool.Query(ctx, query, pgx.NamedArgs{"id": emailID})
	if err != nil {
		return ledger.DecisionRow{}, false, classify("read last decision", err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, scanDecision)
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.DecisionRow{}, false, nil
	}
	return d, err == nil, classify("read last decision", err)
}

// Attend notes that people were told of an email that is held for long. A repeat, as
// told by email, step, begin and number, adds nothing. An email that has gone on since
// in.Sequence is not marked; that people were told of it stays true.
func (s *Decisions) Attend(ctx context.Context, in contract.RemindInput) error {
	const update = `
WITH told AS (
    INSERT INTO reminders (email_id, since, step, number, deadline, level, reasons, at)
    SELECT id, @since::timestamptz, @step, @number, @deadline, @level, @reasons::text[], @at::timestamptz
      FROM emails WHERE id = @id
    ON CONFLICT DO NOTHING
)
UPDATE emails SET attention = @level, attention_at = @at::timestamptz
 WHERE id = @id AND state = 'quarantined' AND sequence <= @sequence AND attention <= @level`

	_, err := s.pool.Exec(ctx, update, pgx.NamedArgs{
		"id": in.Email.ID, "level": in.Level, "at": time.UnixMilli(in.AtUnixMilli), "sequence": in.Sequence,
		"since": time.UnixMilli(in.SinceUnixMilli), "step": clean(in.Step), "number": in.Number, "deadline": in.Deadline,
		"reasons": contract.ReasonsOf(in.Holds),
	})
	return classify(fmt.Sprintf("note reminder about email %d", in.Email.ID), err)
}
