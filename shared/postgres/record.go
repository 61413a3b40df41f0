package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// waitedUntilEnd is how many milliseconds the email waited for people until @closed_at, a
// hold that ends with it included; see the table waits. Times that overlap count once.
const waitedUntilEnd = `coalesce((
           SELECT round(sum(extract(epoch FROM upper(r) - lower(r))) * 1000)::bigint
             FROM unnest((SELECT range_agg(tstzrange(w.began, least(w.ended, @closed_at::timestamptz)))
                            FROM (SELECT began, ended FROM waits WHERE email_id = @id
                                  UNION ALL SELECT held_at, @closed_at::timestamptz WHERE held_at IS NOT NULL) w
                           WHERE w.began < least(w.ended, @closed_at::timestamptz))) r), 0)`

// updateState moves an email to a newer state. A terminal state sets closed_at,
// any other clears it; the same goes for what is known of a hold. The workflow's clock
// may be behind that of the worker that delivered, so closed_at is at least the time of
// the last delivery. The states that it leaves are kept by a trigger.
const updateState = `
UPDATE emails SET state = @state, reason = @reason, detail = @detail, sequence = @sequence,
       change = nextval('email_changes'),
       closed_at = CASE WHEN @closed_at::timestamptz IS NOT NULL THEN greatest(@closed_at::timestamptz,
           (SELECT max(d.delivered_at) FROM deliveries d WHERE d.email_id = @id)) END,
       waited_ms = CASE WHEN @closed_at::timestamptz IS NULL THEN 0 ELSE ` + waitedUntilEnd + ` END,
       held_at = CASE WHEN @state = 'quarantined' THEN coalesce(held_at, @at::timestamptz) END,
       attention = CASE WHEN @state = 'quarantined' THEN attention ELSE 0 END,
       attention_at = CASE WHEN @state = 'quarantined' THEN attention_at END,
       approvals_missing = @missing,
       state_since = @at::timestamptz,
       scanner = CASE WHEN @inspected_at::timestamptz IS NULL THEN scanner ELSE @scanner END,
       scanner_database = CASE WHEN @inspected_at::timestamptz IS NULL THEN scanner_database ELSE @scanner_database END,
       raw_view = CASE WHEN @inspected_at::timestamptz IS NULL THEN raw_view ELSE @raw_view END,
       inspected_at = coalesce(@inspected_at::timestamptz, inspected_at),
       inspected_content = CASE WHEN @inspected_at::timestamptz IS NULL THEN inspected_content ELSE @inspected_content END,
       rules_version = CASE WHEN @routed_at::timestamptz IS NULL THEN rules_version ELSE @rules END,
       routed_at = coalesce(@routed_at::timestamptz, routed_at),
       routes = CASE WHEN cardinality(@routes::text[]) > 0 THEN @routes::text[] ELSE routes END
 WHERE id = @id AND sequence < @sequence`

// Record writes the state of an email if in.Sequence is newer than what the
// ledger has; the first of a workflow is 1, the row begins with 0. A Decision
// becomes a row of its own, once per sequence and intent and however late it
// comes, with the reason that the email was held for until then, and with the note
// of its intent where it has one. Findings are written with it, see saveFindings. An
// email that the ledger does not know is no error.
//
// Where a change that is as new or newer is there and says something else, Record fails
// with a *ledger.Overruled. Numbers of one run of a workflow only rise; those of another
// run may be higher, because a clock went wrong. What is overruled and goes on comes
// again under a higher number: the run that can do so is the one that counts, and order
// is what the ledger has seen, not what clocks say.
func (s *Emails) Record(ctx context.Context, in contract.RecordInput) error {
	query, args, err := record(in)
	if err != nil {
		return classify(fmt.Sprintf("record state of email %d", in.Email.ID), err)
	}
	tag, err := s.pool.Exec(ctx, query, args)
	if plain := in.Decision == nil && len(in.Findings) == 0; err == nil && (!plain || tag.RowsAffected() == 0) {
		err = s.overruled(ctx, in)
	}
	return classify(fmt.Sprintf("record state of email %d", in.Email.ID), err)
}

// overruled fails with a *ledger.Overruled where the ledger keeps another state of the
// email than this change has led to.
func (s *Emails) overruled(ctx context.Context, in contract.RecordInput) error {
	const query = `
SELECT sequence FROM emails
 WHERE id = @id AND (sequence > @sequence
       OR sequence = @sequence AND (state, reason, detail) IS DISTINCT FROM (@state::text, @reason::text, @detail::text))`

	var by int64
	err := s.pool.QueryRow(ctx, query, pgx.NamedArgs{
		"id": in.Email.ID, "sequence": in.Sequence, "state": string(in.State), "reason": string(in.Reason), "detail": clean(in.Detail),
	}).Scan(&by)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return &ledger.Overruled{Sequence: by}
}

// RecordAll is Record for several emails in one transaction: all of them or none.
func (s *Emails) RecordAll(ctx context.Context, list []contract.RecordInput) error {
	ids := make([]int64, len(list))
	for i, in := range list {
		ids[i] = in.Email.ID
	}
	var batch pgx.Batch
	// The rows first, and in the order of their ids: a transaction that adds to the chain of the
	// decisions keeps all others from it until the end of the transaction.
	batch.Queue("SELECT FROM emails WHERE id = ANY(@ids) ORDER BY id FOR NO KEY UPDATE", pgx.NamedArgs{"ids": ids})
	for _, in := range list {
		query, args, err := record(in)
		if err != nil {
			return classify(fmt.Sprintf("record state of email %d", in.Email.ID), err)
		}
		batch.Queue(query, args)
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return tx.SendBatch(ctx, &batch).Close() })
	return classify(fmt.Sprintf("record states of %d emails", len(list)), err)
}

// record returns the statement that writes a state.
func record(in contract.RecordInput) (string, pgx.NamedArgs, error) {
	// All parts see the row as it was before the statement.
	const insertDecision = `
INSERT INTO decisions (email_id, sequence, action, actor, via, note, reason, state_before, state_after, decided_at,
                       intent_id, edit_id, verified, missing)
SELECT e.id, @sequence, @action, @actor, @via, coalesce(i.note, @note), e.reason, @before, @state, @at::timestamptz,
       i.id, nullif(@edit::bigint, 0), @verified, @missing
  FROM emails e LEFT JOIN intents i ON i.id = @intent WHERE e.id = @id
ON CONFLICT DO NOTHING`

	at := time.UnixMilli(in.AtUnixMilli)
	args := pgx.NamedArgs{
		"id": in.Email.ID, "sequence": in.Sequence, "state": string(in.State), "reason": string(in.Reason),
		"detail": clean(in.Detail), "closed_at": nil,
		"routes": cleanAll(in.Routes), "at": at, "missing": in.Missing,
		"scanner": clean(in.Inspected.Scanner), "scanner_database": clean(in.Inspected.Database),
		"raw_view":     string(in.Inspected.RawView),
		"inspected_at": milli(in.Inspected.AtUnixMilli), "inspected_content": in.Inspected.Content,
		"rules": clean(in.Routed.Rules), "routed_at": milli(in.Routed.AtUnixMilli),
	}
	if in.State.Terminal() {
		args["closed_at"] = at
	}
	before, query := []string{}, updateState
	if d := in.Decision; d != nil {
		before, query = append(before, "moved AS ("+updateState+")"), insertDecision
		args["action"], args["actor"], args["via"] = string(d.Action), clean(d.Actor), clean(string(d.Via))
		args["note"], args["before"], args["intent"] = clean(d.Note), string(in.Before), d.Intent
		args["edit"], args["verified"] = in.EditID, in.Verified
	}
	if len(in.Findings) > 0 {
		before = append(before, saveFindings)
		if err := findingColumns(in.Findings, args); err != nil {
			return "", nil, err
		}
	}
	if len(before) > 0 {
		query = "WITH " + strings.Join(before, ", ") + query
	}
	return query, args, nil
}

// milli returns NULL for 0, which stands for no time.
func milli(at int64) *time.Time {
	if at == 0 {
		return nil
	}
	t := time.UnixMilli(at)
	return &t
}
