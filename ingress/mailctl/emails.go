package mailctl

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

type emailsCommands struct {
	List    listCommand    `cmd:"" help:"List emails, newest first."`
	Get     getCommand     `cmd:"" help:"Show what is recorded about an email."`
	Approve approveCommand `cmd:"" help:"Waive the hold of an email: it goes on to its destinations."`
	Discard discardCommand `cmd:"" help:"End an email that is held or waits. Nothing more is sent."`
	Retry   retryCommand   `cmd:"" help:"Run the step that holds an email again, or make now the attempt that it waits for. Waives nothing."`
	Hold    holdCommand    `cmd:"" help:"Keep an email that waits for its next attempt until it is approved."`
	Edit    editCommand    `cmd:"" help:"Change an email that is held or waits and run it again from the first step that the change concerns. The original stays."`
	Raw     rawCommand     `cmd:"" help:"Write the raw event, or the raw mail, to stdout."`
}

// one names an email, by its id or by its number.
type one struct {
	EventID string `arg:"" optional:"" name:"id" help:"Event id; for an email whose event id was taken already, its workflow id."`
	Source  string `help:"Its source, where two sources use the same id."`
	Number  int64  `placeholder:"N" help:"The number of the email, in place of an id. It means exactly one email."`
}

// check refuses flags that name no email, or more than one.
func (o one) check() error {
	switch {
	case o.Number < 0:
		return usagef("--number is a number from 1 on")
	case o.Number == 0 && o.EventID == "":
		return usagef("give the id of an email, or --number")
	case o.Number != 0 && (o.EventID != "" || o.Source != ""):
		return usagef("give either an id or --number, and --source with an id alone")
	}
	return nil
}

// path returns the path of the email in the operator API.
func (o one) path(rest string) string {
	if o.Number != 0 {
		return "/api/v1/emails-by-number/" + strconv.FormatInt(o.Number, 10) + rest
	}
	return emailPath(o.EventID, rest)
}

// name returns what the caller named the email by.
func (o one) name() string {
	if o.Number != 0 {
		return "number " + strconv.FormatInt(o.Number, 10)
	}
	return o.EventID
}

func (o one) query() url.Values {
	if o.Source == "" {
		return url.Values{}
	}
	return url.Values{"source": {o.Source}}
}

type getCommand struct{ one }

// Run prints the email. Where the id means more than one, it lists them and fails.
func (c *getCommand) Run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}
	var e ledger.EmailDetail
	text, err := s.fetchJSON(http.MethodGet, c.path(""), c.query(), nil, &e)
	if err != nil {
		return err
	}

	if c.Number == 0 && c.Source == "" {
		if err := c.refuseAmbiguous(s); err != nil {
			return err
		}
	}
	if s.json() {
		return s.printJSON(json.RawMessage(text))
	}
	return c.printEmail(s, &e)
}

// refuseAmbiguous fails where more than one source uses the id, and lists their emails.
func (c *getCommand) refuseAmbiguous(s *session) error {
	page := emailsPage{}
	query := url.Values{"q": {c.EventID}, "limit": {strconv.Itoa(ledger.MaxLimit)}}
	if _, err := s.fetchJSON(http.MethodGet, "/api/v1/emails", query, nil, &page); err != nil {
		return err
	}

	page.Emails = slices.DeleteFunc(page.Emails, func(e ledger.EmailRow) bool {
		return e.EventID != c.EventID || e.DuplicateOf != ""
	})
	if len(page.Emails) < 2 {
		return nil
	}

	page.NextCursor = ""
	var err error
	if s.json() {
		err = s.printJSON(page)
	} else {
		err = page.print(s)
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%d emails have the id %s: name one with --source or --number", len(page.Emails), c.EventID)
}

func (c *getCommand) printEmail(s *session, e *ledger.EmailDetail) error {
	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	line := func(name string, cells ...string) {
		for i := range cells {
			cells[i] = visible(cells[i])
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\n", name, strings.Join(cells, "  ")) // Flush reports what goes wrong
	}

	full := func(name string, cells ...string) {
		line(name, slices.DeleteFunc(cells, func(cell string) bool { return cell == "" })...)
	}

	optional := func(name, value string) {
		if value != "" {
			line(name, value)
		}
	}

	line("id", e.EventID)
	if e.ID != 0 {
		line("number", strconv.FormatInt(e.ID, 10))
	}

	line("workflow", e.WorkflowID)
	line("source", e.Source, "tenant "+e.Tenant)
	full("state", e.State.Word(), string(e.Reason))
	optional("detail", e.Detail)
	if e.ApprovalsMissing > 0 {
		line("approvals", toApprove(e.ApprovalsMissing))
	}

	optional("duplicate of", e.DuplicateOf)
	optional("maybe same as", e.PossibleDuplicateOf)
	line("received", stamp(&e.ReceivedAt))
	optional("closed", stamp(e.ClosedAt))
	line("from", e.From)
	line("to", some(e.To))
	optional("not ours", some(e.Foreign))
	optional("no rule takes", some(e.Unmatched))
	line("subject", e.Subject)
	optional("reported", strings.Join(reported(e.Reported), ", "))
	for _, a := range e.Attachments {
		full("attachment", a.Filename, fallback(string(a.Verdict), "not inspected"), a.Signature,
			fallback(a.DetectedType, a.ContentType), strconv.FormatInt(a.Size, 10)+" bytes", a.SHA256)
	}

	printHistory(e, full)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}

	return nil
}

// printHistory prints deliveries, edits, decisions and the timeline of an email. line
// leaves out empty cells.
func printHistory(e *ledger.EmailDetail, line func(name string, cells ...string)) {
	for _, d := range e.Deliveries {
		line("delivery", d.Destination, string(d.State), attempts(d.Attempts), d.LastError)
		if next := stamp(d.NextAttemptAt); next != "" {
			line("  next attempt", next)
		}
	}

	for _, edit := range e.Edits {
		state := "not applied"
		if edit.AppliedAt != nil {
			state = "applied " + stamp(edit.AppliedAt)
		}
		line("edit", stamp(&edit.At), "by "+edit.Actor, state, edit.Note)
		for _, c := range edit.Changes {
			line("  "+visible(c.Field), fallback(c.Before, "-"), "->", fallback(c.After, "-"))
		}
	}

	for _, d := range e.Decisions {
		line("decision", stamp(&d.At), string(d.Action), "by "+d.Actor, "through "+d.Via, d.Note)
	}

	for _, t := range e.Timeline {
		by := ""
		if t.Actor != "" {
			by = "by " + t.Actor
			if t.Via != "" {
				by += " through " + t.Via
			}
		}
		line("timeline", stamp(&t.At), t.Title, t.Destination, t.Detail, by)
	}
}

// some returns the first addresses of a list and how many more there are.
func some(addresses []string) string {
	if len(addresses) <= ledger.ListedRecipients {
		return strings.Join(addresses, ", ")
	}
	more := strconv.Itoa(len(addresses) - ledger.ListedRecipients)
	return strings.Join(addresses[:ledger.ListedRecipients], ", ") + " and " + more + " more; -o json has them all"
}

// toApprove says how many more people have to approve.
func toApprove(missing int) string {
	if missing == 1 {
		return "one more person has to approve"
	}
	return strconv.Itoa(missing) + " more people have to approve"
}

// attempts says how many there were.
func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return strconv.Itoa(n) + " attempts"
}

// reported lists what the provider has reported, one thing each.
func reported(r mail.Reported) []string {
	var out []string
	for name, text := range r.All() {
		out = append(out, strings.ToLower(name)+"="+text)
	}
	return out
}

type rawCommand struct {
	one
	Part string `enum:"event,mime" default:"event" help:"event: the body as it was posted; mime: the mail inside it."`
}

// Run writes the bytes as they are, or as base64 with -o json. A terminal gets
// them escaped.
func (c *rawCommand) Run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}

	query := c.query()
	if c.Part == "mime" {
		query.Set("part", "mime")
	}

	resp, err := s.call(http.MethodGet, c.path("/raw"), query, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()

	if !s.json() && !terminal(s.stdout) {
		if _, err := io.Copy(s.stdout, resp.Body); err != nil {
			return fmt.Errorf("raw content: %w", err)
		}
		return nil
	}

	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("raw content: %w", err)
	}
	if !s.json() {
		return s.printf("%s", visibleLines(string(content)))
	}

	out := map[string]any{
		"part": c.Part, "size": len(content),
		"content_base64": base64.StdEncoding.EncodeToString(content),
	}

	if c.Number != 0 {
		out["number"] = c.Number
	} else {
		out["event_id"] = c.EventID
	}

	return s.printJSON(out)
}

// stamp writes a time for people; empty when there is none.
func stamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// age writes a duration in its two largest units.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
