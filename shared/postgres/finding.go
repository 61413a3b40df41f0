package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// saveFindings is the part of a statement that writes the findings of an email. A
// change that is older than what the ledger has changes nothing, and what the ingress
// found stays so.
const saveFindings = `found AS (
    INSERT INTO findings AS f (email_id, step, reason, detail, ingress, state, needed, approvals, sequence, found_at, changed_at)
    SELECT e.id, n.step, n.reason, n.detail, n.ingress, n.state, n.needed, n.approvals::jsonb, @sequence, @at::timestamptz,
           @at::timestamptz
      FROM emails e, unnest(@find_step::text[], @find_reason::text[], @find_detail::text[], @find_ingress::bool[],
           @find_state::text[], @find_needed::int[], @find_approvals::text[])
        AS n (step, reason, detail, ingress, state, needed, approvals)
     WHERE e.id = @id
    ON CONFLICT (email_id, step, reason) DO UPDATE SET
           detail = CASE WHEN excluded.detail = '' THEN f.detail ELSE excluded.detail END,
           ingress = f.ingress OR excluded.ingress, state = excluded.state, needed = excluded.needed,
           approvals = excluded.approvals, sequence = excluded.sequence, changed_at = excluded.changed_at
     WHERE f.sequence < excluded.sequence
)`

// findingColumns adds one array for each column of saveFindings to args.
func findingColumns(list []contract.Finding, args pgx.NamedArgs) error {
	n := len(list)
	step, reason, detail := make([]string, n), make([]string, n), make([]string, n)
	state, approvals := make([]string, n), make([]string, n)
	ingress, needed := make([]bool, n), make([]int32, n)
	for i, f := range list {
		given, err := json.Marshal(append([]contract.Approval{}, f.Approvals...))
		if err != nil {
			return fmt.Errorf("encode approvals: %w", err)
		}
		step[i], reason[i], detail[i] = string(f.Step), string(f.Reason), clean(f.Detail)
		state[i], approvals[i], ingress[i] = string(f.State), clean(string(given)), f.Ingress
		needed[i] = int32(max(f.Needed, 1)) //nolint:gosec // a number of people
	}
	args["find_step"], args["find_reason"], args["find_detail"] = step, reason, detail
	args["find_state"], args["find_approvals"] = state, approvals
	args["find_ingress"], args["find_needed"] = ingress, needed
	return nil
}

// allFindings and openFindings are columns of the email e, as JSON; null for nearly all mail.
const (
	unclosed     = `f.state IN ('open', 'repeat')` // see contract.Finding.Closed
	someFindings = `
       (SELECT jsonb_agg(jsonb_build_object('step', f.step, 'reason', f.reason, 'detail', f.detail, 'ingress', f.ingress,
               'state', f.state, 'needed', f.needed, 'approvals', f.approvals)
               ORDER BY array_position(ARRAY['store', 'inspect', 'route'], f.step), f.found_at, f.reason)
          FROM findings f WHERE f.email_id = e.id`
	allFindings  = someFindings + `)`
	openFindings = someFindings + ` AND ` + unclosed + `)`
)

// earliest is the first step that is not known to be passed, of the email e: that of
// ledger.Standing.From as far as the rows tell. Whether what was inspected is still what
// is stored is checked by the delivery.
const (
	earliest = `
       CASE WHEN e.raw_key = '' OR ` + openAt + `'store') THEN 'store'
            WHEN e.inspected_content = '' OR ` + openAt + `'inspect') THEN 'inspect'
            ELSE 'route' END`
	openAt = `EXISTS (SELECT FROM findings f WHERE f.email_id = e.id AND ` + unclosed + ` AND f.step = `
)

// Standing reads how far an email is known to have come and what its steps found.
// Findings are in the order of the steps. An email that the ledger does not know is
// not_found.
func (s *Emails) Standing(ctx context.Context, emailID int64) (ledger.Standing, error) {
	const query = `
SELECT e.raw_key <> '', e.scanner, e.scanner_database, coalesce((extract(epoch FROM e.inspected_at) * 1000)::bigint, 0),
       e.inspected_content,` + allFindings + `
  FROM emails e WHERE e.id = @id`

	var out ledger.Standing
	i := &out.Inspected
	err := s.pool.QueryRow(ctx, query, pgx.NamedArgs{"id": emailID}).
		Scan(&out.Stored, &i.Scanner, &i.Database, &i.AtUnixMilli, &i.Content, &out.Findings)
	return out, classify(fmt.Sprintf("read standing of email %d", emailID), absent(err))
}
