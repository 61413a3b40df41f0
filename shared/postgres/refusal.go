package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// firstOfWorkflow is below every sequence that a workflow gives to a change of state:
// what the ledger notes of an email that has no workflow yet counts from 1 and is
// overruled by whatever its workflow says.
const firstOfWorkflow = 1 << 20

// Conditions on a row i of the inbox. A row whose workflow cannot be started is claimed
// for ever, so that no program starts it until a person retries it.
const (
	waitingRow = `i.started_at IS NULL AND i.claimed_until IS DISTINCT FROM 'infinity'` // claimed or not
	refusedRow = `i.started_at IS NULL AND i.claimed_until = 'infinity'`
)

// nextState are the columns of a change of state that the ledger makes by itself.
const nextState = `sequence = sequence + 1, change = nextval('email_changes'), state_since = now()`

// refusedEmail is whether an email e is held because its workflow cannot be started.
const refusedEmail = `e.state = 'quarantined' AND e.reason = 'internal'
       AND EXISTS (SELECT FROM inbox i WHERE i.email_id = e.id AND ` + refusedRow + `)`

// Refusal says that the workflow of an accepted email cannot be started.
type Refusal struct {
	EmailID int64
	// Detail is a sentence without mail content.
	Detail string
	// Final holds the email as internal until a person retries or discards it. Otherwise
	// it is shown as retrying and may be claimed again after Rest.
	Final bool
	Rest  time.Duration
}

// RefuseStart shows in the ledger that the workflow of an email cannot be started, and
// keeps its inbox row from being claimed. It changes nothing where the email was started
// or refused for good meanwhile; a repeat changes nothing.
func (s *Inbox) RefuseStart(ctx context.Context, r Refusal) error {
	const query = `
WITH refused AS (
    UPDATE inbox i SET claimed_until = CASE WHEN @final THEN 'infinity' ELSE now() + @rest::interval END
     WHERE i.email_id = @id AND ` + waitingRow + `
    RETURNING i.email_id
)
UPDATE emails SET state = @state, reason = 'internal', detail = @detail, ` + nextState + `,
       held_at = CASE WHEN @final THEN now() END
 WHERE id IN (SELECT email_id FROM refused) AND state IN ('processing', 'retrying') AND sequence < @bound
   AND (state, reason, detail) IS DISTINCT FROM (@state::text, 'internal', @detail::text)`

	state := contract.Retrying
	if r.Final {
		state = contract.Quarantined
	}
	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{
		"id": r.EmailID, "final": r.Final, "rest": r.Rest, "state": string(state), "detail": clean(r.Detail), "bound": firstOfWorkflow,
	})
	return classify(fmt.Sprintf("refuse start of email %d", r.EmailID), err)
}

// ClearRefusal takes back that an email is shown as retrying because its workflow could
// not be started. What its workflow has said meanwhile stays.
func (s *Inbox) ClearRefusal(ctx context.Context, id int64) error {
	const query = `
UPDATE emails SET state = 'processing', reason = '', detail = '', ` + nextState + `, held_at = NULL
 WHERE id = @id AND state = 'retrying' AND reason = 'internal' AND sequence < @bound`

	_, err := s.pool.Exec(ctx, query, pgx.NamedArgs{"id": id, "bound": firstOfWorkflow})
	return classify(fmt.Sprintf("clear refusal of email %d", id), err)
}

// DecideRefused carries a decision out about an email whose workflow cannot be started,
// and that is therefore in the hands of the ledger alone: retry gives it back to the
// inbox, discard ends it. The intent is what a person asked for, of this email or of a
// replay; it is taken once. It fails with decision_refused for another action and where
// the email does not wait for a decision like this (any more).
func (s *Decisions) DecideRefused(ctx context.Context, emailID, intent int64) (contract.DecisionResult, error) {
	const (
		lock = `
SELECT n.action, ` + refusedEmail + `
  FROM emails e JOIN intents n ON n.id = @intent AND (n.email_id = e.id OR EXISTS (
       SELECT FROM replay_items r WHERE r.replay_id = n.replay_id AND r.email_id = e.id))
 WHERE e.id = @id FOR NO KEY UPDATE OF e`
		release = `UPDATE inbox i SET claimed_until = NULL WHERE i.email_id = @id AND ` + refusedRow
		move    = `
UPDATE emails SET state = @state, reason = '', detail = '', ` + nextState + `, held_at = NULL, attention = 0,
       attention_at = NULL, approvals_missing = 0, closed_at = CASE WHEN @ends THEN now() END
 WHERE id = @id`
		note = `
INSERT INTO decisions (email_id, sequence, action, actor, via, note, reason, state_before, state_after, decided_at,
                       intent_id, verified)
SELECT e.id, e.sequence, n.action, n.actor, n.via, n.note, 'internal', 'quarantined', e.state, now(), n.id, true
  FROM emails e JOIN intents n ON n.id = @intent WHERE e.id = @id
ON CONFLICT DO NOTHING`
	)
	var out contract.DecisionResult
	args := pgx.NamedArgs{"id": emailID, "intent": intent}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var action contract.Action
		var waits bool
		err := tx.QueryRow(ctx, lock, args).Scan(&action, &waits)
		switch {
		case errors.Is(err, pgx.ErrNoRows) || err == nil && !waits:
			return ledger.NotWaiting()
		case err != nil:
			return err
		}

		switch action {
		case contract.Retry:
			out.State = contract.Processing
			_, err = tx.Exec(ctx, release, args)
		case contract.Discard: // the row keeps the content until policy removes it
			out.State = contract.Discarded
		default:
			err = ledger.NeverStarted(action)
		}
		if err != nil {
			return err
		}

		args["state"], args["ends"] = string(out.State), out.State.Terminal()
		if _, err := tx.Exec(ctx, move, args); err != nil {
			return err //nolint:wrapcheck // classified below
		}
		_, err = tx.Exec(ctx, note, args)
		return err //nolint:wrapcheck // classified below
	})
	return out, classify(fmt.Sprintf("decide about email %d", emailID), err)
}
