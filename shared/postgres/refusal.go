package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/postgres/dbsqlc"
)

// firstOfWorkflow is below every sequence that a workflow counts changes of state by:
// what the ledger notes of an email that has no workflow yet counts from 1 and is
// overruled by whatever its workflow says.
const firstOfWorkflow = 1 << 20

// Conditions on a row i of the inbox. A row whose workflow cannot be started is claimed
// for ever, so that no program starts it until a person retries it.
const (
	waitingRow = `i.started_at IS NULL AND i.claimed_until IS DISTINCT FROM 'infinity'` // claimed or not
	refusedRow = `i.started_at IS NULL AND i.claimed_until = 'infinity'`
)

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
	state := contract.Retrying
	if r.Final {
		state = contract.Quarantined
	}
	err := s.queries.RefuseStart(ctx, dbsqlc.RefuseStartParams{
		ID: r.EmailID, Final: r.Final, Rest: r.Rest, State: string(state), Detail: clean(r.Detail), Bound: firstOfWorkflow,
	})
	return classify(fmt.Sprintf("refuse start of email %d", r.EmailID), err)
}

// ClearRefusal takes back that an email is shown as retrying because its workflow could
// not be started. What its workflow has said meanwhile stays.
func (s *Inbox) ClearRefusal(ctx context.Context, id int64) error {
	err := s.queries.ClearRefusal(ctx, dbsqlc.ClearRefusalParams{ID: id, Bound: firstOfWorkflow})
	return classify(fmt.Sprintf("clear refusal of email %d", id), err)
}

// DecideRefused carries out a decision about an email whose workflow cannot be started,
// and which the ledger alone can therefore change: retry returns it to the inbox,
// discard ends it. The intent is what a person asked for, of this email or of a
// replay; it is taken once. It fails with decision_refused for another action and where
// the email does not wait for a decision like this (any more).
func (s *Decisions) DecideRefused(ctx context.Context, emailID, intent int64) (contract.DecisionResult, error) {
	var out contract.DecisionResult
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		queries := s.queries.WithTx(tx)
		refused, err := queries.LockRefused(ctx, dbsqlc.LockRefusedParams{Intent: intent, ID: emailID})
		switch {
		case errors.Is(err, pgx.ErrNoRows) || err == nil && !refused.Waits:
			return ledger.NotWaiting()
		case err != nil:
			return err
		}

		switch refused.Action {
		case contract.Retry:
			out.State = contract.Processing
			err = queries.ReleaseRefused(ctx, emailID)
		case contract.Discard: // the row keeps the content until policy removes it
			out.State = contract.Discarded
		default:
			err = ledger.NeverStarted(refused.Action)
		}
		if err != nil {
			return err
		}

		err = queries.MoveRefused(ctx, dbsqlc.MoveRefusedParams{ID: emailID, State: string(out.State), Ends: out.State.Terminal()})
		if err != nil {
			return err
		}
		return queries.InsertRefusedDecision(ctx, dbsqlc.InsertRefusedDecisionParams{Intent: intent, ID: emailID})
	})
	return out, classify(fmt.Sprintf("decide about email %d", emailID), err)
}
