package mailctl

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"mailroom/shared/contract"
	"mailroom/shared/mail"
	"mailroom/shared/mime"
)

type routesCommands struct {
	List routesListCommand `cmd:"" help:"List the rules in their order."`
	Test routesTestCommand `cmd:"" help:"Say where the rules would send a mail, and why. Nothing is sent."`
}

type routesListCommand struct{}

// Run prints a line for each rule.
func (c *routesListCommand) Run(s *session) error {
	var list struct {
		Version string `json:"version"`
		Routes  []struct {
			Name   string            `json:"name"`
			When   map[string]string `json:"when"`
			Header map[string]string `json:"header"`
			To     []string          `json:"to"`
			Hold   bool              `json:"hold"`
		} `json:"routes"`
	}

	if err := s.callJSON(http.MethodGet, "/api/v1/routes", nil, nil, &list); err != nil || s.json() {
		return err
	}

	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	line := liner(table)
	line("ROUTE", "WHEN", "TO", "HOLD")
	for _, r := range list.Routes {
		var when []string
		for _, field := range slices.Sorted(maps.Keys(r.When)) {
			when = append(when, field+"="+r.When[field])
		}
		for _, field := range slices.Sorted(maps.Keys(r.Header)) {
			when = append(when, field+": "+r.Header[field])
		}
		line(r.Name, fallback(strings.Join(when, ", "), "always"), strings.Join(r.To, ","), map[bool]string{true: "yes", false: "no"}[r.Hold])
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}

	return s.printf("\nRules version %s\n", visible(list.Version))
}

type routesTestCommand struct {
	File    string   `arg:"" optional:"" help:"Mail (.eml) whose From, To, Cc, Subject and headers are tried; - is stdin."`
	Email   string   `placeholder:"ID" help:"A stored email, by its event id."`
	From    string   `placeholder:"ADDRESS" help:"The sender."`
	To      []string `placeholder:"ADDRESS" sep:"none" help:"A recipient, or several with commas; may be repeated. In place of the file's."`
	Subject string   `help:"The subject."`
	Header  []string `placeholder:"\"NAME: VALUE\"" sep:"none" help:"A header field; may be repeated."`
	Source  string   `help:"The source. Default: the first one of the tenant; of an email its own."`
	Tenant  string   `help:"The tenant. Default: of those in which you have a role the source's, else the one that owns a recipient, else the first."`
	Auth    []string `placeholder:"NAME=RESULT" sep:"none" help:"What the provider reports of spf, dkim or dmarc, such as spf=fail; may be repeated."`
	Type    string   `help:"The provider's type of event."`
	Mailbox string   `help:"The mailbox that the provider names."`
}

// sample is the request to the API.
type sample struct {
	Email      string            `json:"email,omitempty"`
	Source     string            `json:"source,omitempty"`
	Sender     string            `json:"sender,omitempty"`
	Recipients []string          `json:"recipients,omitempty"`
	Subject    string            `json:"subject,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Tenant     string            `json:"tenant,omitempty"`
	Auth       mail.Auth         `json:"auth,omitzero"`
	Type       string            `json:"type,omitempty"`
	Mailbox    string            `json:"mailbox,omitempty"`
}

// Run prints the result of each rule, and where the mail would go.
func (c *routesTestCommand) Run(s *session) error {
	in, err := c.sample(s)
	if err != nil {
		return err
	}

	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("test routes: %w", err)
	}

	var out tested
	if err := s.callJSON(http.MethodPost, "/api/v1/routes/test", nil, body, &out); err != nil || s.json() {
		return err
	}

	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	line := liner(table)
	line("ROUTE", "MATCHES", "WHY")
	for _, r := range out.Rules {
		line(r.Name, map[bool]string{true: "yes", false: "no"}[r.Matched], r.Why)
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}

	return s.printf("%s", visibleLines(out.text()))
}

// tested is the answer of the rule tester.
type tested struct {
	Tenant       string          `json:"tenant"`
	Source       string          `json:"source"`
	Destinations []string        `json:"destinations"`
	Holds        []contract.Hold `json:"holds"`
	Foreign      []string        `json:"foreign_recipients"`
	Unmatched    []string        `json:"unmatched_recipients"`
	Recipients   []struct {
		Mailbox string `json:"mailbox"`
		Tag     string `json:"tag"`
	} `json:"recipients"`
	Rules []struct {
		Name    string `json:"name"`
		Matched bool   `json:"matched"`
		Why     string `json:"why"`
	} `json:"rules"`
}

// text says where the mail would go.
func (out *tested) text() string {
	text := "\nIt was tried as mail of the tenant " + out.Tenant + ", by the source " + fallback(out.Source, "(none)") + ".\n"
	text += "It goes to " + fallback(strings.Join(out.Destinations, ", "), "no destination") + ".\n"

	for _, r := range out.Recipients {
		if r.Tag != "" {
			text += "The rules read a recipient as " + r.Mailbox + " with the tag " + r.Tag + ".\n"
		}
	}

	if len(out.Foreign) > 0 {
		text += "Outside the tenant's domains, and matched by no rule: " + strings.Join(out.Foreign, ", ") + "\n"
	}
	if len(out.Unmatched) > 0 {
		text += "No rule takes: " + strings.Join(out.Unmatched, ", ") + "\n"
	}

	for _, h := range out.Holds {
		text += "It is held first: " + because(h.Reason, h.Detail) + "\n"
	}
	return text
}

// sample builds the request from a file and the flags; flags win.
func (c *routesTestCommand) sample(s *session) (*sample, error) {
	made := c.File != "" || c.From != "" || len(c.To) > 0 || c.Subject != "" || len(c.Header) > 0 || c.Tenant != "" ||
		len(c.Auth) > 0 || c.Type != "" || c.Mailbox != ""
	if c.Email != "" && made {
		return nil, usagef("--email goes alone or with --source: the ledger has the other fields")
	}
	if c.Email == "" && !made {
		return nil, usagef("give --email, a file, or what the mail would have: --to, --from, --subject, --header")
	}

	in := &sample{Email: c.Email, Source: c.Source, Tenant: c.Tenant, Headers: map[string]string{}, Type: c.Type, Mailbox: c.Mailbox}
	for _, result := range c.Auth {
		name, value, ok := strings.Cut(result, "=")
		to := map[string]*string{"spf": &in.Auth.SPF, "dkim": &in.Auth.DKIM, "dmarc": &in.Auth.DMARC}[strings.ToLower(name)]
		if !ok || to == nil {
			return nil, usagef("--auth: give spf=RESULT, dkim=RESULT or dmarc=RESULT")
		}
		*to = value
	}

	if c.File != "" {
		if err := in.read(s, c.File); err != nil {
			return nil, err
		}
	}

	in.Subject = fallback(c.Subject, in.Subject)
	if err := in.address(c); err != nil {
		return nil, err
	}

	for _, field := range c.Header {
		name, value, ok := strings.Cut(field, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, usagef(`--header: give "Name: value"`)
		}
		maps.DeleteFunc(in.Headers, func(other, _ string) bool { return strings.EqualFold(other, name) })
		in.Headers[name] = strings.TrimSpace(value)
	}

	return in, nil
}

// address sets sender and recipients from the flags.
func (in *sample) address(c *routesTestCommand) error {
	if c.From != "" {
		from, err := parseSender(c.From)
		if err != nil {
			return err
		}
		in.Sender = from.Address
	}

	to, err := parseAddresses("to", c.To)
	if err != nil {
		return err
	}
	if len(to) > 0 {
		in.Recipients = bare(to)
	}
	return nil
}

// read sets the fields that rules match from a mail. A file has no envelope: the addresses
// of the header replace it. Of a repeated field the first one counts.
func (in *sample) read(s *session, name string) error {
	raw, err := s.read(name)
	if err != nil {
		return err
	}

	parsed, err := mime.Parse(raw)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}

	m := parsed.Message
	in.Subject = m.Subject
	if len(m.From) > 0 {
		in.Sender = m.From[0].Address
	}

	for _, list := range [][]mail.Address{m.To, m.Cc} {
		for _, a := range list {
			in.Recipients = append(in.Recipients, a.Address)
		}
	}

	seen := map[string]bool{}
	for _, h := range m.Headers {
		if key := strings.ToLower(h.Name); !seen[key] {
			seen[key] = true
			in.Headers[h.Name] = h.Value
		}
	}

	return nil
}
