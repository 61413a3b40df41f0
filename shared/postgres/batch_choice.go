package postgres

import (
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// choice is which emails e a replay works on: its filter, as conditions and their
// arguments, but for the bounds of ids that each statement has.
type choice struct {
	conditions []string
	args       pgx.NamedArgs
}

// chosen returns the choice of a replay with this action. For a decision the
// destination is one that is still owed the email: that it went elsewhere already
// says nothing about what holds it.
func chosen(action contract.Action, f ledger.Filter) choice {
	c := choice{args: pgx.NamedArgs{}}
	add := func(on bool, condition, name string, value any) {
		if on {
			c.conditions = append(c.conditions, condition)
			c.args[name] = value
		}
	}

	like := func(s string) string { return "%" + escapeLike(clean(s)) + "%" }
	add(f.State != "", `e.state = @by_state`, "by_state", clean(string(f.State)))
	add(f.Reason != "", `e.reason = @by_reason`, "by_reason", clean(string(f.Reason)))
	add(f.Source != "", `e.source = @by_source`, "by_source", clean(f.Source))
	add(f.Tenant != "", `e.tenant = @by_tenant`, "by_tenant", clean(f.Tenant))
	add(f.Tenants != nil, `e.tenant = ANY(@by_tenants::text[])`, "by_tenants", cleanAll(f.Tenants))
	add(!f.Since.IsZero(), `e.received_at >= @by_since`, "by_since", f.Since)
	add(!f.Until.IsZero(), `e.received_at < @by_until`, "by_until", f.Until)
	add(f.Sender != "", `e.sender ILIKE @by_sender`, "by_sender", like(f.Sender))
	add(f.Recipient != "", `array_to_string(e.recipients, ' ') ILIKE @by_recipient`, "by_recipient", like(f.Recipient))
	if len(f.Emails) > 0 {
		c.oneByOne(f.Emails)
	}
	if f.Query != "" {
		add(true, c.queried(f), "by_query", like(f.Query))
	}

	owed := ""
	if action != ledger.ActionReplay {
		owed = ` AND d.state NOT IN ('delivered', 'skipped')`
	}

	add(f.Destination != "",
		`EXISTS (SELECT FROM deliveries d WHERE d.email_id = e.id AND d.destination = @by_destination`+owed+`)`,
		"by_destination", clean(f.Destination))
	return c
}

// oneByOne chooses emails by their numbers, those alone that have not changed since they
// were looked at.
func (c *choice) oneByOne(list []ledger.Chosen) {
	numbers, versions := make([]int64, len(list)), make([]int64, len(list))
	for i, e := range list {
		numbers[i], versions[i] = e.Number, e.Version
	}
	c.conditions = append(c.conditions, `e.id = ANY(@by_numbers::bigint[]) AND EXISTS (
       SELECT FROM ROWS FROM (unnest(@by_numbers::bigint[]), unnest(@by_versions::bigint[])) AS o (number, version)
        WHERE o.number = e.id AND (o.version = 0 OR o.version = e.change))`)
	c.args["by_numbers"], c.args["by_versions"] = numbers, versions
}

// queried returns the condition of a query. As in the list, one that is a whole event
// id or message id means the emails that have it and no others, in whatever state
// they are: that evt_1 was decided already must not make evt_10 the one that is meant.
func (c *choice) queried(f ledger.Filter) string {
	const anywhere = `(e.event_id ILIKE @by_query OR e.message_id ILIKE @by_query OR e.subject ILIKE @by_query
       OR e.sender ILIKE @by_query OR array_to_string(e.recipients, ' ') ILIKE @by_query)`

	if strings.ContainsFunc(f.Query, unicode.IsSpace) {
		return anywhere
	}
	c.args["by_exact"] = clean(f.Query)
	seen := "" // an id in another tenant must change no answer
	if f.Tenant != "" {
		seen += ` AND o.tenant = @by_tenant`
	}
	if f.Tenants != nil {
		seen += ` AND o.tenant = ANY(@by_tenants::text[])`
	}
	arms := []string{ // one index for each
		`SELECT o.id FROM emails o WHERE o.event_id = @by_exact AND o.conflict_of IS NULL` + seen,
		`SELECT o.id FROM emails o WHERE o.event_id = @by_exact AND o.conflict_of IS NOT NULL` + seen,
		`SELECT o.id FROM emails o WHERE o.workflow_id = @by_exact AND o.conflict_of IS NOT NULL` + seen,
	}
	if strings.Contains(f.Query, "@") {
		c.args["by_message"] = "%\n" + escapeLike(bracketed(fold(f.Query))) + "\n%"
		for _, table := range []string{"email_search", "email_search_new"} {
			arms = append(arms, `SELECT o.id FROM `+table+` t JOIN emails o ON o.id = t.email_id WHERE t.text LIKE @by_message`+seen)
		}
	}
	exact := strings.Join(arms, "\n       UNION ALL ")
	return `(e.id IN (` + exact + `)
       OR NOT EXISTS (` + exact + `) AND ` + anywhere + `)`
}

// where returns the conditions of the choice with others before them.
func (c *choice) where(others ...string) string {
	return "\n WHERE " + strings.Join(append(others, c.conditions...), "\n   AND ")
}

// with returns the arguments of the choice and others.
func (c *choice) with(others pgx.NamedArgs) pgx.NamedArgs {
	for name, value := range c.args {
		others[name] = value
	}
	return others
}
