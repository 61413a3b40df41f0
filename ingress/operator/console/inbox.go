package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/operations"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/reason"
)

// seeing returns the tenants whose mail the caller may see.
func seeing(who access.Identity) []string {
	tenants, _ := who.Tenants(access.Viewer)
	return tenants
}

// listPages lists emails: the inbox of what is held, and the search.
type listPages struct {
	*site
	emails    Emails
	overviews Overviews
	choices   Choices
}

// list returns one page of emails that the caller may see.
func (h *listPages) list(g *gin.Context, f ledger.Filter) ([]ledger.EmailRow, string, error) {
	who := access.From(g.Request.Context())
	f.Tenants = seeing(who)
	rows, next, err := h.emails.ListEmails(g.Request.Context(), f)
	if err != nil {
		return nil, "", err
	}
	// Checked again, independently of the query.
	rows = slices.DeleteFunc(rows, func(r ledger.EmailRow) bool { return who.In(r.Tenant) < access.Viewer })
	return rows, next, nil
}

// inboxPage lists what is held.
type inboxPage struct {
	Groups   []ledger.ReasonCount
	Total    int64
	Filter   ledger.Filter
	Emails   []ledger.EmailRow
	List     emailList // of Emails
	Next     string
	Count    int64 // of what the filter chooses; 0: unknown
	May      access.Role
	Bulk     string // where to decide about all of them
	Explains *reason.Explanation
}

func (h *listPages) inbox(g *gin.Context) error {
	f, err := filterOf(g.Request.URL.Query())
	if err != nil {
		return err
	}
	f.State = contract.Quarantined
	ctx := g.Request.Context()
	o, err := h.overviews.Overview(ctx, seeing(access.From(ctx)))
	if err != nil {
		return err
	}

	p := inboxPage{Groups: o.Held, Filter: f, May: access.From(ctx).Best()}
	for _, h := range p.Groups {
		p.Total += h.Count
		if h.Reason == f.Reason {
			p.Count = h.Count
		}
	}
	if f.Reason == "" {
		p.Count = p.Total
	}
	if p.Emails, p.Next, err = h.list(g, f); err != nil {
		return err
	}
	if p.Next != "" {
		p.Next = more(g, p.Next)
	}
	p.List = listOf(p.Emails, h.choices.Choices(seeing(access.From(ctx))))
	if f.Reason != "" {
		e := reason.Text(f.Reason)
		p.Explains = &e
	}
	if p.May >= access.Operator && len(p.Emails) > 0 {
		p.Bulk = "/replays/new?" + queryOf(f).Encode()
		p.List.Picks = picksOf(p.Emails, access.From(ctx))
	}
	return h.render(g, http.StatusOK, "inbox", layout{Title: "Inbox", Area: "inbox", Live: "/events", Help: helpAboutReason(f.Reason), Body: p})
}

// searchPage is the emails that a search finds.
type searchPage struct {
	Filter  ledger.Filter
	Since   string
	Until   string
	Known   operations.Choices
	Emails  []ledger.EmailRow
	List    emailList // of Emails
	Next    string
	First   bool
	States  []contract.State
	Reasons []contract.Reason
	Any     bool // something is searched for
	Replay  string
}

func (h *listPages) search(g *gin.Context) error {
	query := g.Request.URL.Query()
	f, err := filterOf(query)
	p := searchPage{Filter: f, Since: query.Get("since"), Until: query.Get("until"), States: contract.States, Reasons: contract.Reasons,
		First: f.Cursor == ""}
	l := layout{Title: "Emails", Area: "emails", Live: "/events"}
	status := http.StatusOK
	if err == nil {
		p.Emails, p.Next, err = h.list(g, f)
	}
	if fault.Is(err, fault.RequestInvalid) {
		l.Problem, status, err = fault.From(err).Public, http.StatusBadRequest, nil
	}
	if err != nil {
		return err
	}
	if p.Next != "" {
		p.Next = more(g, p.Next)
	}

	p.Known = h.choices.Choices(seeing(access.From(g.Request.Context())))
	p.List = listOf(p.Emails, p.Known)
	chosen := queryOf(f)
	p.Any = len(chosen) > 0
	if p.Any && len(p.Emails) > 0 && access.From(g.Request.Context()).Best() >= access.Operator {
		p.Replay = "/replays/new?" + chosen.Encode()
	}

	l.Body = p
	return h.render(g, status, "emails", l)
}

// more returns the path of the next page of a list.
func more(g *gin.Context, cursor string) string {
	query := g.Request.URL.Query()
	query.Set("cursor", cursor)
	return g.Request.URL.Path + "?" + query.Encode()
}

// filterOf reads a filter of emails from a query or a form. An empty field does not
// filter; an invalid one is refused, because a mistyped filter must not select everything.
func filterOf(v url.Values) (ledger.Filter, error) {
	for name, values := range v {
		if name == selection {
			continue
		}
		if len(values) > 1 || len(values[0]) > maxField || !access.Plain(values[0]) {
			return ledger.Filter{}, fault.Newf(fault.RequestInvalid, "%s must be given once, as at most %d bytes of printable text", cut(40, show(name)), maxField)
		}
	}

	get := func(name string) string { return strings.TrimSpace(v.Get(name)) }
	f := ledger.Filter{
		Reason: contract.Reason(get("reason")), Source: get("source"), Tenant: get("tenant"),
		Sender: get("sender"), Recipient: get("recipient"), Destination: get("destination"), Query: get("q"), Cursor: get("cursor"),
		Limit: ledger.DefaultLimit,
	}
	if text := get("state"); text != "" {
		var known bool
		if f.State, known = contract.StateOf(text); !known {
			return f, fault.New(fault.RequestInvalid, "There is no such state.")
		}
	}
	if err := selectInto(&f, v[selection]); err != nil {
		return f, err
	}
	if f.Reason != "" && !slices.Contains(contract.Reasons, f.Reason) {
		return f, fault.New(fault.RequestInvalid, "There is no such reason.")
	}

	var err error
	if f.Since, err = instant(get("since")); err != nil {
		return f, err
	}

	f.Until, err = instant(get("until"))
	return f, err
}

// instant parses a time as forms and links write it; times without a zone are UTC.
func instant(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fault.New(fault.RequestInvalid, "A time is written as 2026-01-31T13:45, in UTC.")
}

// queryOf is the inverse of filterOf, without the cursor.
func queryOf(f ledger.Filter) url.Values {
	out := url.Values{}
	for name, value := range map[string]string{
		"state": f.State.Word(), "reason": string(f.Reason), "source": f.Source, "tenant": f.Tenant,
		"sender": f.Sender, "recipient": f.Recipient, "destination": f.Destination, "q": f.Query,
	} {
		if value != "" {
			out.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			out.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, e := range f.Emails {
		out.Add(selection, pickOf(e, ""))
	}
	return out
}
