package mailctl

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"mailroom/shared/ledger"
)

type listCommand struct {
	choice
	Query  string `short:"q" help:"Only emails with this in id, subject or addresses."`
	Limit  int    `help:"How many at most."`
	Cursor string `help:"Continue after the previous page, with the cursor that it printed."`
}

// Run prints one page.
func (c *listCommand) Run(s *session) error {
	filter, err := c.filter(s.now())
	if err != nil {
		return err
	}

	filter["q"], filter["cursor"] = c.Query, c.Cursor
	query := url.Values{}
	for name, value := range filter {
		if text, ok := value.(string); ok && text != "" {
			query.Set(name, text)
		}
	}

	if c.Limit != 0 {
		query.Set("limit", strconv.Itoa(c.Limit))
	}

	var page emailsPage
	if err := s.callJSON(http.MethodGet, "/api/v1/emails", query, nil, &page); err != nil || s.json() {
		return err
	}
	return page.print(s)
}

// emailsPage is one page of emails, as the API returns it.
type emailsPage struct {
	Emails     []ledger.EmailRow `json:"emails"`
	NextCursor string            `json:"next_cursor"`
}

// print writes the emails as a table that fits the terminal, with the tenant where there are
// several. Ids, addresses and subjects come from senders.
func (page *emailsPage) print(s *session) error {
	columns := []column{
		{title: "ID", least: 30}, {title: "STATE"}, {title: "REASON", least: 10, keep: 4}, {title: "AGE", keep: 3},
		{title: "SOURCE", least: 6, keep: 1}, {title: "NUMBER", keep: 2},
		{title: "FROM", least: 8}, {title: "TO", least: 8}, {title: "SUBJECT", least: 8}, {title: "TENANT", least: 6, keep: 1},
	}
	if !slices.ContainsFunc(page.Emails, func(e ledger.EmailRow) bool { return e.Tenant != page.Emails[0].Tenant }) {
		columns = columns[:len(columns)-1]
	}
	for i := range page.Emails {
		for j, cell := range cellsOfEmail(&page.Emails[i], s.now())[:len(columns)] {
			columns[j].cells = append(columns[j].cells, visible(fallback(cell, "-")))
		}
	}

	if err := s.printf("%s", render(columns, lineWidth(s.stdout))); err != nil {
		return err
	}
	if page.NextCursor == "" {
		return nil
	}
	return s.printf("\nMore: --cursor %s\n", visible(page.NextCursor))
}

func cellsOfEmail(e *ledger.EmailRow, now time.Time) []string {
	id := e.EventID
	if e.DuplicateOf != "" { // its event id means the email that came first
		id = e.WorkflowID
	}
	to := ""
	if len(e.To) > 0 {
		to = e.To[0]
	}
	if more := max(e.ToCount, len(e.To)) - 1; more > 0 {
		to = "+" + strconv.Itoa(more) + " " + to // before the address, which may be shortened
	}
	return []string{
		id, e.State.Word(), string(e.Reason), age(now.Sub(e.ReceivedAt)), e.Source, strconv.FormatInt(e.ID, 10),
		e.From, to, e.Subject, e.Tenant,
	}
}
