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

// intentAge is how long an intent about one email may be carried out. A client that can
// reach Temporal alone could otherwise send one again that was never taken. Those
// of a replay have no such end: a replay may be paced over days.
const intentAge = time.Hour

// CreateIntent inserts an intent and returns its id. A repeat is another intent.
func (s *Decisions) CreateIntent(ctx context.Context, in ledger.Intent) (int64, error) {
	id, err := s.queries.InsertIntent(ctx, dbsqlc.InsertIntentParams{
		EmailID: in.EmailID, ReplayID: in.ReplayID, Action: in.Action, Actor: clean(in.Actor), Person: clean(in.Person), Via: in.Via,
		Note: clean(in.Note), EditID: in.EditID, FromStep: in.From,
		State: string(in.State),
	})
	return id, classify(fmt.Sprintf("create intent about email %d", in.EmailID), err)
}

// Intent reads what an intent says for an email; one of a replay is for those
// emails that the replay has come to. It is decision_refused where
// there is none for that email, or one that is too old.
func (s *Decisions) Intent(ctx context.Context, in contract.IntentInput) (contract.IntentResult, error) {
	r, err := s.queries.FindIntent(ctx, dbsqlc.FindIntentParams{Intent: in.Intent, EmailID: in.Email.ID, Age: intentAge})
	if errors.Is(err, pgx.ErrNoRows) {
		return contract.IntentResult{}, ledger.NoSuchIntent()
	}
	if err != nil {
		return contract.IntentResult{}, classify(fmt.Sprintf("read intent %d", in.Intent), err)
	}

	out := contract.IntentResult{
		Action: r.Action, Actor: r.Actor, Person: r.Person, Via: r.Via, EditID: r.EditID, From: r.FromStep, Taken: r.Taken,
		Only: contract.Reason(r.OnlyReason), State: contract.State(r.State),
	}
	switch {
	case r.ReplayID != 0:
		out.Replay = &contract.Replayed{ID: r.ReplayID, From: r.FromStep, NewEffect: r.NewEffect}
	case r.Old && !r.Taken:
		return contract.IntentResult{}, ledger.IntentExpired(intentAge)
	}
	return out, nil
}

// LastDecision returns the newest decision about an email; false means that there is none.
func (s *Decisions) LastDecision(ctx context.Context, emailID int64) (ledger.DecisionRow, bool, error) {
	r, err := s.queries.LastDecision(ctx, emailID)
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.DecisionRow{}, false, nil
	}
	if err != nil {
		return ledger.DecisionRow{}, false, classify("read last decision", err)
	}
	return ledger.DecisionRow{
		Action: r.Action, Actor: r.Actor, Via: r.Via, Note: r.Note, At: r.At, Before: r.Before, After: r.After, Reason: r.Reason,
		Verified: r.Verified, Missing: int(r.Missing), EditID: r.EditID,
	}, true, nil
}

// Attend notes that people were told of an email that is held for long. A repeat, as
// told by email, step, begin and number, adds nothing. An email that has gone on since
// in.Sequence is not marked; that people were told of it stays true.
func (s *Decisions) Attend(ctx context.Context, in contract.RemindInput) error {
	reasons := []string{}
	for _, r := range contract.ReasonsOf(in.Holds) {
		reasons = append(reasons, string(r))
	}
	err := s.queries.SaveReminder(ctx, dbsqlc.SaveReminderParams{
		EmailID: in.Email.ID, Level: int16(in.Level), At: time.UnixMilli(in.AtUnixMilli), Sequence: in.Sequence, //nolint:gosec // 0 to 2
		Since: time.UnixMilli(in.SinceUnixMilli), Step: clean(in.Step), Number: int32(in.Number), Deadline: in.Deadline, //nolint:gosec // small
		Reasons: reasons,
	})
	return classify(fmt.Sprintf("note reminder about email %d", in.Email.ID), err)
}
