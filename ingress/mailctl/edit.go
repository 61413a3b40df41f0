package mailctl

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

type editCommand struct {
	one
	Note         string   `help:"Why. It is stored with the decision. Not needed with --dry-run."`
	Destination  []string `sep:"none" placeholder:"DEST" help:"Send it to this destination instead of those of the routes. May be repeated, like all that follow."`
	Recipient    []string `sep:"none" placeholder:"ADDR" help:"Replace the recipients of the envelope."`
	To           []string `sep:"none" placeholder:"ADDR" help:"The same as --recipient."`
	Header       []string `sep:"none" placeholder:"'NAME: VALUE'" help:"Set a header."`
	RemoveHeader []string `sep:"none" placeholder:"NAME" help:"Remove a header."`
	Charset      string   `placeholder:"NAME" help:"Decode text with this character set."`
	Drop         []string `sep:"none" placeholder:"SHA256|FILE" help:"Leave out an attachment, named by hash or file name."`
	Field        []string `sep:"none" placeholder:"FROM=TO" help:"Read a field of the provider's JSON as another one."`
	DryRun       bool     `help:"Show what would change and decide nothing."`
}

// preview is the API's answer about an edit.
type preview struct {
	Step         contract.Step   `json:"step"`
	Changes      []ledger.Change `json:"changes"`
	Destinations []string        `json:"destinations"`
}

// Run shows what the edit changes, and decides unless it is a dry run. With -o json
// it prints the preview, or the decision's answer.
func (c *editCommand) Run(s *session) error {
	if err := c.check(); err != nil {
		return err
	}
	if !c.DryRun && strings.TrimSpace(c.Note) == "" {
		return usagef("--note: say why you edit it")
	}

	edit, err := c.edit()
	if err != nil {
		return err
	}
	if edit.Drop, err = c.dropped(s); err != nil {
		return err
	}

	if !s.json() || c.DryRun {
		if err := c.show(s, edit); err != nil || c.DryRun {
			return err
		}
	}

	body, err := json.Marshal(map[string]any{"action": contract.Edited, "note": c.Note, "edit": edit})
	if err != nil {
		return fmt.Errorf("decision: %w", err)
	}

	var out struct {
		State contract.State `json:"state"`
	}

	err = s.callJSON(http.MethodPost, c.path("/decisions"), c.query(), body, &out)
	if err != nil || s.json() {
		return err
	}

	return s.printf("%s\t%s\t%s\n", visible(c.name()), contract.Edited, visible(out.State.Word()))
}

// edit reads the flags but --drop.
func (c *editCommand) edit() (contract.Edit, error) {
	recipients, err := c.recipients()
	if err != nil {
		return contract.Edit{}, err
	}
	e := contract.Edit{To: c.Destination, Recipients: recipients, Charset: c.Charset}
	if len(c.Header)+len(c.RemoveHeader) > 0 {
		e.Headers = map[string]*string{}
	}

	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if _, twice := e.Headers[name]; !ok || twice {
			return e, usagef("--header: give each name once, as 'Name: value'")
		}
		e.Headers[name] = &value
	}

	for _, name := range c.RemoveHeader {
		if _, twice := e.Headers[name]; twice {
			return e, usagef("--remove-header: give each name once, and not in --header as well")
		}
		e.Headers[name] = nil
	}

	for _, f := range c.Field {
		from, to, ok := strings.Cut(f, "=")
		if _, twice := e.Fields[from]; !ok || twice {
			return e, usagef("--field: give each field once, as from=to")
		}
		if e.Fields == nil {
			e.Fields = map[string]string{}
		}
		e.Fields[from] = to
	}

	if len(e.To)+len(e.Recipients)+len(e.Headers)+len(e.Fields)+len(c.Drop) == 0 && e.Charset == "" {
		return e, usagef("the edit changes nothing: see mailctl emails edit --help")
	}

	return e, nil
}

// recipients returns the bare addresses of --recipient and --to. A word without @ after
// --to is a mistake of its own: --to was the flag of destinations.
func (c *editCommand) recipients() ([]string, error) {
	for _, text := range c.To {
		if !strings.Contains(text, "@") {
			return nil, usagef("--to: %s is no address; name a destination with --destination", text)
		}
	}

	var out []string
	for _, given := range []struct {
		flag  string
		texts []string
	}{{"to", c.To}, {"recipient", c.Recipient}} {
		list, err := parseAddresses(given.flag, given.texts)
		if err != nil {
			return nil, err
		}
		out = append(out, bare(list)...)
	}
	return out, nil
}

// dropped returns the hashes of --drop. A file name is searched among the email's
// attachments, and must name exactly one content.
func (c *editCommand) dropped(s *session) ([]string, error) {
	var sums []string
	var email *ledger.EmailDetail
	for _, name := range c.Drop {
		if len(name) == 64 && strings.Trim(strings.ToLower(name), "0123456789abcdef") == "" {
			sums = append(sums, name)
			continue
		}
		if email == nil {
			email = &ledger.EmailDetail{}
			if _, err := s.fetchJSON(http.MethodGet, c.path(""), c.query(), nil, email); err != nil {
				return nil, err
			}
		}
		found := map[string]bool{}
		for _, a := range email.Attachments {
			if a.Filename == name && a.SHA256 != "" && !found[a.SHA256] {
				found[a.SHA256] = true
				sums = append(sums, a.SHA256)
			}
		}
		if len(found) != 1 {
			return nil, fmt.Errorf("--drop: %d attachments of this email are called %s", len(found), name)
		}
	}

	return sums, nil
}

// show prints what the edit would change.
func (c *editCommand) show(s *session, edit contract.Edit) error {
	body, err := json.Marshal(map[string]any{"edit": edit})
	if err != nil {
		return fmt.Errorf("edit: %w", err)
	}

	var p preview
	err = s.callJSON(http.MethodPost, c.path("/edits/preview"), c.query(), body, &p)
	if err != nil || s.json() {
		return err
	}

	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	for _, change := range p.Changes { // Flush reports what goes wrong
		_, _ = fmt.Fprintf(table, "%s\t- %s\n\t+ %s\n", visible(change.Field), visible(change.Before), visible(change.After))
	}

	if len(p.Changes) == 0 {
		_, _ = fmt.Fprintln(table, "nothing that is shown would change")
	}

	_, _ = fmt.Fprintf(table, "runs again from\t%s\n", visible(string(p.Step)))
	if len(p.Destinations) > 0 {
		_, _ = fmt.Fprintf(table, "goes to\t%s\n", visible(strings.Join(p.Destinations, ", ")))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}

	return nil
}
