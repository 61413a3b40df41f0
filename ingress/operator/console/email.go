package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"mailroom/ingress/operator/access"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
	"mailroom/shared/reason"
)

const (
	maxField = 1000 // bytes of one field of a query or a form
	// firstAttachments are shown at once; the rest of a thousand is folded.
	firstAttachments = 20
	maxRecipients    = 20
)

// emailPages shows one email and decides about it.
type emailPages struct {
	*site
	*mailReader
	decisions Decisions
	frame     frame
}

// emailPage is all that the page of one email shows.
type emailPage struct {
	Email *ledger.EmailDetail
	// May says what the caller may do in the email's tenant.
	May       access.Role
	Held      bool
	Explained *reason.Explanation
	Choices   []choice
	Seen      string // what the person decides about
	Note      string // what was typed before the decision was refused
	Waiting   string // who has approved, and how many more have to
	Timeline  []ledger.TimelineEntry
	Text      string
	TextCut   bool
	HTML      bool
	Content   content
	Headers   []mail.Header
	MoreHead  int
	First     []attachment
	Rest      []attachment
	To        []string
	MoreTo    int
	// Foreign are the recipients outside the tenant's domains, MoreForeign how many more.
	Foreign     []string
	MoreForeign int
	// Unmatched are the recipients that no rule took, MoreUnmatched how many more.
	Unmatched     []string
	MoreUnmatched int
	Reported      []string // what the provider reported with the mail, one thing each
	Workflow      string   // its page in the Temporal Web UI
}

// attachment is one row; Link is empty where the caller may not download it.
type attachment struct {
	mail.Attachment
	Link, Denied string
}

// choice is one button of the decision.
type choice struct {
	Action contract.Action
	Name   string
	Does   string
	Key    string
	Grave  bool
}

// Ask is the question before it is done.
func (c choice) Ask() string {
	if c.Name == tryNow {
		return "Try this email now?"
	}
	return c.Name + " this email?"
}

const (
	tryNow     = "Try now" // the action retry for an email that waits
	editButton = "Edit…"
	editDoes   = "Changes destinations, recipients, headers, charset, fields or attachments, and runs the step again. The original stays."
)

// page shows one email.
func (h *emailPages) page(g *gin.Context) error {
	email, err := h.find(g)
	if err != nil {
		return err
	}
	return h.show(g, http.StatusOK, email, layout{Notice: notices[g.Query("done")]}, "")
}

// unstartable explains the hold of an email whose workflow cannot be started.
var unstartable = &reason.Explanation{
	What:    "It was accepted and is safe, but Temporal cannot start its workflow.",
	Retry:   "starts its workflow again",
	Discard: "ends it without processing it",
	Next:    "Read the cause above, fix it in Temporal, then retry.",
}

// notices are the texts after a completed action, by the value of ?done=.
var notices = map[string]string{
	"approve": "Approved. The email goes on from the step that held it.",
	"retry":   "The held step runs again.",
	"tried":   "The next attempt is made now.",
	"hold":    "Held. The email goes on once it is approved.",
	"discard": "Discarded. The record stays.",
	"edit":    "The edit is applied, and the held step runs again. The original bytes stay as they are.",
	"counted": "Your approval counts. Another person has to approve before the email goes on.",
	"pause":   "Paused. Mail for it waits.",
	"resume":  "Resumed. Waiting mail is sent.",
	"stop":    "Stopped. Emails that are done stay done.",
	"start":   "Started. This page follows it.",
}

func (h *emailPages) show(g *gin.Context, status int, email *ledger.EmailDetail, l layout, note string) error {
	ctx := g.Request.Context()
	p := emailPage{Email: email, May: access.From(ctx).In(email.Tenant), Held: email.State == contract.Quarantined, Note: note}
	var err error
	if p.Content, err = h.content(ctx, email); err != nil {
		// The rest of the page is useful without the text.
		p.Content = content{Notice: "The content cannot be read at the moment: " + fault.From(err).Public}
	}

	if m := p.Content.Message; m != nil {
		var text string
		text, p.TextCut = shorten(m.Text, maxText)
		p.Text, p.HTML = showLines(text), m.HTML != ""
		p.Headers = m.Headers[:min(len(m.Headers), maxHeaders)]
		p.MoreHead = len(m.Headers) - len(p.Headers)
	}

	p.To = email.To[:min(len(email.To), maxRecipients)]
	p.MoreTo = len(email.To) - len(p.To)
	p.Reported = reported(email.Reported)
	p.Foreign = email.Foreign[:min(len(email.Foreign), maxRecipients)]
	p.MoreForeign = len(email.Foreign) - len(p.Foreign)
	p.Unmatched = email.Unmatched[:min(len(email.Unmatched), maxRecipients)]
	p.MoreUnmatched = len(email.Unmatched) - len(p.Unmatched)
	rows := p.attachments()
	p.First, p.Rest = rows[:min(len(rows), firstAttachments)], rows[min(len(rows), firstAttachments):]
	if p.Timeline, err = h.emails.Timeline(ctx, email.ID); err != nil {
		return err
	}

	p.Explained = explained(email)
	if p.May >= access.Operator {
		p.Choices = choicesFor(&email.EmailRow, p.Explained)
		if p.Held && email.StartRefused {
			p.Explained = unstartable
		}
	}

	p.Waiting = waiting(email)
	p.Seen = seen(email)
	p.Workflow = h.workflow(email)
	l.Title, l.Area = cut(80, show(email.Subject)), "emails"
	if email.Subject == "" {
		l.Title = "Email without a subject"
	}
	if p.Held {
		l.Area = "inbox"
	}

	live := url.Values{"email": {strconv.FormatInt(email.ID, 10)}, "id": {eventID(&email.EmailRow)}, "source": {email.Source}}
	if number := linkNumber(&email.EmailRow); number != 0 {
		live.Set("number", strconv.FormatInt(number, 10))
	}

	l.Live, l.Help = "/events?"+live.Encode(), helpAbout(&email.EmailRow)
	l.Body = p
	return h.render(g, status, "email", l)
}

// attachments returns the rows with their links. The same bytes under two names may
// have two verdicts: the worse one counts.
func (p *emailPage) attachments() []attachment {
	unclean := map[string]bool{}
	for _, a := range p.Email.Attachments {
		if a.Verdict != mail.Clean {
			unclean[a.SHA256] = true
		}
	}

	rows := make([]attachment, 0, len(p.Email.Attachments))
	for _, a := range p.Email.Attachments {
		row := attachment{Attachment: a}
		switch {
		case a.SHA256 == "" || a.Key == "":
			row.Denied = "not stored"
		case unclean[a.SHA256] && p.May < access.Operator:
			row.Denied = "for operators"
		default:
			row.Link = api(&p.Email.EmailRow, "/attachments/"+a.SHA256, nil)
		}
		rows = append(rows, row)
	}

	return rows
}

// Download returns the path under which the raw source is downloaded.
func (p emailPage) Download() string { return api(&p.Email.EmailRow, "/raw", nil) }

// Download returns the path under which the shown part of the source is downloaded whole.
func (p sourcePage) Download() string {
	if p.MIME {
		return api(&p.Email.EmailRow, "/raw", url.Values{"part": {"mime"}})
	}
	return api(&p.Email.EmailRow, "/raw", nil)
}

// api returns a path of the operator API about an email. Downloads come from there,
// as attachments that no browser renders.
func api(e *ledger.EmailRow, under string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	if number := linkNumber(e); number != 0 {
		return strings.TrimSuffix("/api/v1/emails-by-number/"+strconv.FormatInt(number, 10)+under+"?"+query.Encode(), "?")
	}
	query.Set("source", e.Source)
	return "/api/v1/emails/" + url.PathEscape(eventID(e)) + under + "?" + query.Encode()
}

// workflow returns the page of the email's workflow in the Temporal Web UI.
func (s *site) workflow(email *ledger.EmailDetail) string {
	if s.cfg.TemporalUI == "" {
		return ""
	}
	return strings.TrimRight(s.cfg.TemporalUI, "/") + "/namespaces/" + url.PathEscape(s.cfg.Namespace) +
		"/workflows/" + url.PathEscape(email.WorkflowID)
}

// seen identifies the hold that a page shows. A decision about another one is refused.
func seen(email *ledger.EmailDetail) string {
	return fmt.Sprintf("%s/%s/%d", email.State, email.Reason, len(email.Decisions))
}

// waiting says who has approved a hold that needs more than one person, and how many
// more have to; empty where one person is enough.
func waiting(email *ledger.EmailDetail) string {
	if email.State != contract.Quarantined || email.ApprovalsMissing <= 0 {
		return ""
	}

	// Approvals that counted are the last decisions of this hold: any other one ends it.
	var names []string
	for _, d := range slices.Backward(email.Decisions) {
		if d.Action != contract.Approve || d.Missing == 0 {
			break
		}
		if d.Verified && !slices.Contains(names, d.Actor) { // a claimed approval does not count
			names = append(names, d.Actor)
		}
	}

	if len(names) == 0 {
		return plural(email.ApprovalsMissing, "person has", "people have") + " to approve before the email goes on."
	}

	slices.Reverse(names)
	return fmt.Sprintf("%d of %d people have approved; %s did.", len(names), len(names)+email.ApprovalsMissing, strings.Join(names, " and "))
}

// explained returns the explanation of what an email is held for, or waits for; nil for none.
func explained(email *ledger.EmailDetail) *reason.Explanation {
	if email.Reason == "" {
		return nil
	}
	e := reason.Text(email.Reason)
	return &e
}

// choicesFor returns the buttons for the state of an email, none where there is nothing
// to decide.
func choicesFor(email *ledger.EmailRow, e *reason.Explanation) []choice {
	switch {
	case email.State == contract.Retrying:
		return []choice{
			{contract.Retry, tryNow, "Makes the next attempt now. If it fails, the email waits again.", "r", false},
			{contract.Edited, editButton, editDoes, "e", false},
			{contract.Held, "Hold", "Keeps the email until it is approved. Nothing more is sent meanwhile.", "h", false},
			{contract.Discard, "Discard", "Ends the email: nothing more is sent. What was delivered stays delivered.", "d", true},
		}
	case email.State != contract.Quarantined:
		return nil
	}

	list := choices(e)
	if email.StartRefused { // there is nothing to approve yet
		list = slices.DeleteFunc(list, func(c choice) bool { return c.Action == contract.Approve || c.Action == contract.Edited })
	}
	return list
}

// choices returns the buttons for held mail in the order of the advice, with what each does.
func choices(e *reason.Explanation) []choice {
	list := []choice{
		{contract.Approve, "Approve", "Waives the hold; the email goes on to its destinations.", "a", false},
		{contract.Retry, "Retry", "Runs the held step again and waives nothing.", "r", false},
		{contract.Edited, editButton, editDoes, "e", false},
		{contract.Discard, "Discard", "Ends the email without delivering it. The record stays.", "d", true},
	}
	if e == nil {
		return list
	}

	for i, verb := range []string{"Approving", "Retrying", "", "Discarding"} {
		if text := e.Does(list[i].Action); text != "" { // it continues the name of the action
			list[i].Does = verb + " " + text + "."
		}
		list[i].Grave = e.Risky(list[i].Action)
	}
	slices.SortStableFunc(list, func(a, b choice) int {
		return slices.Index(e.Order, a.Action) - slices.Index(e.Order, b.Action)
	})
	return list
}

// Class returns the style of button i: the advised one comes first and stands out, what is
// against the advice is red.
func (p emailPage) Class(i int, c choice) string {
	class := "secondary"
	if i == 0 && p.Explained != nil && !p.Explained.Undecided {
		class = ""
	}
	if c.Grave {
		class += " danger"
	}
	return strings.TrimSpace(class)
}

// reported lists what the provider has reported, one thing each.
func reported(r mail.Reported) []string {
	var out []string
	for name, text := range r.All() {
		out = append(out, name+" "+text)
	}
	return out
}
