package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
)

// updateState moves an email to a newer state. A terminal state sets closed_at,
// any other clears it.
const updateState = `
UPDATE emails SET state = @state, reason = @reason, detail = @detail, sequence = @sequence,
       closed_at = @closed_at::timestamptz,
       routes = CASE WHEN cardinality(@routes::text[]) > 0 THEN @routes::text[] ELSE routes END
 WHERE id = @id AND sequence < @sequence`

// Record writes the state of an email if in.Sequence is newer than what the
// ledger has; the first of a workflow is 1, the row begins with 0. A Decision
// becomes a row of its own, once per sequence and however late it comes, with
// the reason that the email was held for until then. An email that the ledger
// does not know is no error.
func (db *DB) Record(ctx context.Context, in contract.RecordInput) error {
	// Both parts see the row as it was before the statement.
	const withDecision = `
WITH moved AS (` + updateState + `)
INSERT INTO decisions (email_id, sequence, action, actor, via, note, reason, state_before, state_after, decided_at)
SELECT id, @sequence, @action, @actor, @via, @note, reason, @before, @state, @at::timestamptz FROM emails WHERE id = @id
ON CONFLICT (email_id, sequence) DO NOTHING`

	at := time.UnixMilli(in.AtUnixMilli)
	args := pgx.NamedArgs{
		"id": in.Email.ID, "sequence": in.Sequence, "state": string(in.State), "reason": string(in.Reason),
		"detail": clean(in.Detail), "closed_at": nil,
		"routes": cleanAll(in.Routes),
	}
	if in.State.Terminal() {
		args["closed_at"] = at
	}
	query := updateState
	if d := in.Decision; d != nil {
		query = withDecision
		args["action"], args["actor"], args["via"] = string(d.Action), clean(d.Actor), clean(string(d.Via))
		args["note"], args["before"], args["at"] = clean(d.Note), string(in.Before), at
	}
	_, err := db.pool.Exec(ctx, query, args)
	return classify(fmt.Sprintf("record state of email %d", in.Email.ID), err)
}
