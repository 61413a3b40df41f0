package postgres

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"mailroom/shared/ledger"
)

// Bounds of what is searched. Text beyond them is in the ledger and not found by
// a search.
const (
	maxSubject    = 2000  // bytes
	maxAddress    = 1000  // bytes of the sender, and of a message id
	maxRecipients = 16000 // bytes of all together
)

const (
	// searchWindow is how many of the newest ids are looked at before anything
	// else: what fits many emails is found there without reading all of them.
	searchWindow = 2000
	// searchReach is how many of the newest ids a page goes through where no index
	// helps, because the text is too short for one.
	searchReach = 20_000
	// searchUnstored is how many of the newest emails that are not stored yet a
	// search looks at. An exact id is found whatever their number.
	searchUnstored = 10_000
	// indexBatch is how many rows one statement of IndexSearch moves.
	indexBatch = 1000
)

// searchText is what a search looks in after the line of the event id, which the
// database knows: four more lines, see the migration.
func searchText(messageID, subject, sender string, recipients []string) string {
	return "\n" + strings.Join([]string{
		bracketed(fold(cut(messageID, maxAddress))), fold(cut(subject, maxSubject)), fold(cut(sender, maxAddress)),
		fold(cut(strings.Join(recipients, " "), maxRecipients)),
	}, "\n")
}

// fold makes texts that differ in case alone equal. The lines of searchText hold
// no control character, so that none ends a line.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return unicode.ToLower(r)
	}, clean(s))
}

// bracketed returns a message id in the one form that no address has.
func bracketed(messageID string) string {
	if messageID = strings.Trim(messageID, "<> "); messageID == "" {
		return ""
	}
	return "<" + messageID + ">"
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] // clean takes away what is left of a character
}

// within returns the pattern of LIKE for a text that may stand anywhere.
func within(s string) string { return "%" + escapeLike(fold(s)) + "%" }

// IndexSearch moves up to limit rows from where the store step writes them to
// where they are indexed, and says how many it moved. Several may call it at once.
// Nothing is ever unfound meanwhile: searches look in both places.
func (s *Views) IndexSearch(ctx context.Context, limit int) (int64, error) {
	var moved int64
	for moved < int64(limit) {
		n, err := s.queries.IndexSearch(ctx, min(indexBatch, int64(limit)-moved))
		if err != nil {
			return moved, classify("index emails for search", err)
		}
		moved += n
		if n < indexBatch {
			break
		}
	}
	return moved, nil
}

// search is one question to the ledger: the conditions on an email e and on its
// text t, with their arguments.
type search struct {
	email, text []string
	args        pgx.NamedArgs
	// event asks emails that have no text yet for their event id.
	event bool
	// Ids are below before, where it is not 0, and above after.
	before, after int64
}

// ask turns a filter into conditions. Only those in use are part of a statement,
// so that the planner can choose an index by them.
func ask(f ledger.Filter, before int64, limit int) search {
	s := search{args: pgx.NamedArgs{"limit": limit}, before: before}
	add := func(list *[]string, on bool, condition, name string, value any) {
		if on {
			*list = append(*list, condition)
			s.args[name] = value
		}
	}

	add(&s.email, f.State != "", `e.state = @state`, "state", clean(string(f.State)))
	add(&s.email, f.Reason != "", `e.reason = @reason`, "reason", clean(string(f.Reason)))
	add(&s.email, f.Source != "", `e.source = @source`, "source", clean(f.Source))
	add(&s.email, f.Tenant != "", `e.tenant = @tenant`, "tenant", clean(f.Tenant))
	add(&s.email, f.Tenants != nil, `e.tenant = ANY(@tenants::text[])`, "tenants", cleanAll(f.Tenants))
	add(&s.email, !f.Since.IsZero(), `e.received_at >= @since`, "since", f.Since)
	add(&s.email, !f.Until.IsZero(), `e.received_at < @until`, "until", f.Until)
	add(&s.email, f.Destination != "",
		`EXISTS (SELECT FROM deliveries d WHERE d.destination = @destination AND d.email_id = e.id)`,
		"destination", clean(f.Destination))
	add(&s.text, f.Query != "", `t.text LIKE @query`, "query", within(f.Query))
	// Each line has an index of its own; see migration 0018.
	add(&s.text, f.Sender != "", `split_part(t.text, E'\n', 4) LIKE @sender`, "sender", within(f.Sender))
	add(&s.text, f.Recipient != "", `split_part(t.text, E'\n', 5) LIKE @recipient`, "recipient", within(f.Recipient))
	s.event = f.Query != "" && f.Sender == "" && f.Recipient == ""
	return s
}

// everything reports whether the filter leaves nothing out.
func (s *search) everything() bool { return len(s.email) == 0 && len(s.text) == 0 }

// bounds returns the conditions on an id that is called column.
func (s *search) bounds(column string) []string {
	var out []string
	if s.before > 0 {
		out = append(out, column+` < @before`)
		s.args["before"] = s.before
	}
	if s.after > 0 {
		out = append(out, column+` > @after`)
		s.args["after"] = s.after
	}
	return out
}

func where(lists ...[]string) string {
	if all := slices.Concat(lists...); len(all) > 0 {
		return ` WHERE ` + strings.Join(all, ` AND `)
	}
	return ""
}

// newest ends a statement that returns ids. In order means along the primary key,
// which ends early where many emails fit and reads all where few do; else what
// fits is found by whatever index serves and sorted then: the order by an
// expression is what keeps the planner from the primary key.
func newest(column string, inOrder bool) string {
	if inOrder {
		return ` ORDER BY ` + column + ` DESC LIMIT @limit`
	}
	return ` ORDER BY ` + column + ` + 0 DESC LIMIT @limit`
}

// ids returns the statement of the ids that are asked for, newest first.
func (s *search) ids(inOrder bool) string {
	if len(s.text) == 0 {
		return `SELECT e.id FROM emails e` + where(s.bounds("e.id"), s.email) + newest("e.id", inOrder)
	}

	arms := make([]string, 0, 3)

	for _, table := range []string{"email_search", "email_search_new"} {
		arm := `(SELECT t.email_id AS id FROM ` + table + ` t`
		if len(s.email) > 0 {
			arm += ` JOIN emails e ON e.id = t.email_id` + where(s.bounds("t.email_id"), s.bounds("e.id"), s.text, s.email)
		} else {
			arm += where(s.bounds("t.email_id"), s.text)
		}
		arms = append(arms, arm+newest("t.email_id", inOrder)+`)`)
	}

	if s.event { // what is not stored yet
		arms = append(arms, `(SELECT e.id FROM (SELECT i.email_id FROM inbox i`+where(s.bounds("i.email_id"))+
			` ORDER BY i.email_id DESC LIMIT @unstored) i JOIN emails e ON e.id = i.email_id`+
			where([]string{`lower(e.event_id) LIKE @query`}, s.email)+newest("e.id", false)+`)`)
		s.args["unstored"] = searchUnstored
	}

	return strings.Join(arms, "\nUNION\n") + "\n ORDER BY id DESC LIMIT @limit"
}

// exact returns the statement of the emails whose event id, workflow or message id
// the query is, to the letter but for the case of a message id and its angle
// brackets.
func (s *search) exact(query string) string {
	arms := []string{
		`SELECT id FROM emails WHERE event_id = @exact AND conflict_of IS NULL`, // one index for each
		`SELECT id FROM emails WHERE event_id = @exact AND conflict_of IS NOT NULL`,
		`SELECT id FROM emails WHERE workflow_id = @exact AND conflict_of IS NOT NULL`,
	}
	s.args["exact"] = clean(query)
	if strings.Contains(query, "@") {
		s.args["message"] = "%\n" + escapeLike(bracketed(fold(query))) + "\n%"
		for _, table := range []string{"email_search", "email_search_new"} {
			arms = append(arms, `SELECT email_id FROM `+table+` WHERE text LIKE @message`)
		}
	}
	return `SELECT e.id FROM (` + strings.Join(arms, "\nUNION\n") + `) found JOIN emails e ON e.id = found.id` +
		where(s.bounds("e.id"), s.email) + newest("e.id", false)
}

// indexed reports whether an index serves any of the texts of f: it takes three
// letters or digits in a row.
func indexed(f ledger.Filter) bool {
	for _, text := range []string{f.Query, f.Sender, f.Recipient} {
		run := 0
		for _, r := range text {
			if run++; !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				run = 0
			}
			if run == 3 {
				return true
			}
		}
	}
	return false
}

// byTextAlone reports whether a filter asks for a text and for nothing that would
// leave few rows to look through. Tenants leaves any number.
func byTextAlone(f ledger.Filter) bool {
	text := f.Query + f.Sender + f.Recipient
	return text != "" && f.State == "" && f.Reason == "" && f.Source == "" && f.Tenant == "" && f.Destination == "" &&
		f.Since.IsZero() && f.Until.IsZero()
}

// ListEmails returns the emails that f chooses, newest first, and the cursor of
// the next page, which is empty on the last. A page may have fewer emails than its
// limit, or none, and a next one all the same: where only reading every row would
// answer a page goes so far and no further. A query that is, to the letter, the
// event id or the message id of emails that f may see returns these and no others. A
// cursor that this method did not make is request_invalid.
func (s *Views) ListEmails(ctx context.Context, f ledger.Filter) ([]ledger.EmailRow, string, error) {
	before, err := parseCursor(f.Cursor)
	if err != nil {
		return nil, "", err
	}

	limit := f.Limit
	if limit <= 0 {
		limit = ledger.DefaultLimit
	}

	limit = min(limit, ledger.MaxLimit)
	list, rest, err := s.search(ctx, f, before, limit+1)
	if err != nil {
		return nil, "", classify("list emails", err)
	}

	if len(list) <= limit {
		if rest > 0 {
			return list, cursorAfter(rest), nil
		}
		return list, "", nil
	}

	list = list[:limit]
	return list, cursorAfter(list[limit-1].ID), nil
}

// search looks where the answer is likely first. What fits many emails is found
// among the newest ids, what fits few by an index over all of them; the planner
// cannot know which it is, because it cannot know how often a term is there. Where
// rest is not 0 only ids from there on were looked at.
func (s *Views) search(ctx context.Context, f ledger.Filter, before int64, limit int) (list []ledger.EmailRow, rest int64, err error) {
	q := ask(f, before, limit)
	if q.everything() {
		list, err = s.rowsOf(ctx, q.ids(true), q.args)
		return list, 0, err
	}

	if f.Query != "" && !strings.ContainsFunc(f.Query, unicode.IsSpace) {
		list, err = s.rowsOf(ctx, q.exact(f.Query), q.args)
		if err != nil || len(list) > 0 {
			return list, 0, err
		}
	}

	top := before
	if top == 0 {
		if top, err = s.queries.NextEmailID(ctx); err != nil {
			return nil, 0, err
		}
	}

	reach := int64(searchWindow)
	bounded := byTextAlone(f) && !indexed(f)
	if bounded {
		reach = searchReach
	}

	q.after = max(top-reach, 0)
	list, err = s.rowsOf(ctx, q.ids(true), q.args)

	switch {
	case err != nil || len(list) == limit || q.after == 0:
		return list, 0, err
	case bounded:
		return list, q.after + 1, nil
	}

	q.after = 0
	list, err = s.rowsOf(ctx, q.ids(false), q.args)
	return list, 0, err
}

// rowsOf reads the rows of the ids that a statement returns, newest first.
func (s *Views) rowsOf(ctx context.Context, ids string, args pgx.NamedArgs) ([]ledger.EmailRow, error) {
	// Planned with the arguments each time: a plan for any argument would be a bad one.
	rows, err := s.pool.Query(ctx, "WITH page AS MATERIALIZED (\n"+ids+"\n)"+selectListed+
		` JOIN page ON page.id = e.id ORDER BY e.id DESC`, pgx.QueryExecModeCacheDescribe, args)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r ledger.EmailRow, err error) {
		err = scanRow(row, &r)
		return r, err
	})
}
