package mailctl

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"mailroom/shared/auditchain"
	"mailroom/shared/ledger"
)

type auditCommands struct {
	Verify auditVerifyCommand `cmd:"" help:"Check the audit chain, or the file of an export without a server."`
	Export auditExportCommand `cmd:"" help:"Write one email's chain of custody to stdout, or to a file."`
	Head   auditHeadCommand   `cmd:"" help:"Print the head of the chain, to keep it elsewhere."`
}

type auditHeadCommand struct{}

// Run prints <seq>:<hash>.
func (*auditHeadCommand) Run(s *session) error {
	var head auditchain.Head
	if err := s.callJSON(http.MethodGet, "/api/v1/audit/head", nil, nil, &head); err != nil || s.json() {
		return err
	}
	return s.printf("%s\n", head)
}

type auditExportCommand struct {
	Event  string `placeholder:"ID" help:"Event id; for an email whose event id was taken already, its workflow id."`
	Source string `help:"Its source, where two sources use the same id."`
	Number int64  `placeholder:"N" help:"The number of the email, in place of --event. It means exactly one email."`
	HTML   bool   `name:"html" help:"Write a page for people instead of JSON."`
	File   string `short:"f" placeholder:"FILE" help:"Write to a new file."`
}

// Run writes the document after checking it without the server's help. An export is an
// entry of the chain: the file is opened before the server is asked for one.
func (c *auditExportCommand) Run(s *session) (err error) {
	if c.HTML && s.json() {
		return usagef("give either --html or -o json")
	}
	named := one{EventID: c.Event, Source: c.Source, Number: c.Number}
	if err := named.check(); err != nil {
		return err
	}
	if c.File == "" {
		text, _, err := c.export(s, named)
		if err != nil {
			return err
		}
		return s.printf("%s", text)
	}

	file, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("nothing was exported: %w", err)
	}
	head, err := c.exportTo(s, named, file)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(c.File))
	}

	if s.json() {
		return s.printJSON(map[string]any{"file": c.File, "head": head})
	}
	return s.printf("%s\n", visible(head.String()))
}

func (c *auditExportCommand) exportTo(s *session, named one, file io.Writer) (auditchain.Head, error) {
	text, head, err := c.export(s, named)
	if err != nil {
		return head, err
	}
	if _, err := file.Write(text); err != nil {
		return head, fmt.Errorf("export: %w", err)
	}
	return head, nil
}

// export returns the verified document as it is written, and the head of the chain in it.
func (c *auditExportCommand) export(s *session, named one) (text []byte, head auditchain.Head, err error) {
	resp, err := s.call(http.MethodGet, named.path("/custody"), named.query(), nil)
	if err != nil {
		return nil, head, err
	}
	defer func() { _ = resp.Body.Close() }()

	if text, err = readJSON(resp); err != nil {
		return nil, head, err
	}
	document, _, err := auditchain.Read(text)
	if err != nil {
		return nil, head, fmt.Errorf("the export does not verify: %w", err)
	}
	if !c.HTML {
		return []byte(harmless(string(text)) + "\n"), document.Proof.Head, nil
	}

	page, err := auditchain.Page(document)
	if err != nil {
		return nil, head, fmt.Errorf("page: %w", err)
	}
	return page, document.Proof.Head, nil
}

type auditVerifyCommand struct {
	File string   `arg:"" optional:"" help:"An export; without it the server's whole chain is checked."`
	Head []string `placeholder:"SEQ:HASH" help:"A head of the chain that you kept: it must still be in the chain."`
	Raw  string   `placeholder:"FILE" help:"The raw event, or the raw mail in it: it must be the one of the export."`
}

// audited is what verify prints with -o json.
type audited struct {
	OK        bool                     `json:"ok"`
	Head      *auditchain.Head         `json:"head,omitempty"`
	Entries   int64                    `json:"entries"`
	EventID   string                   `json:"event_id,omitempty"`
	BrokenAt  int64                    `json:"broken_at,omitempty"`
	Error     string                   `json:"error,omitempty"`
	Decisions *int64                   `json:"decisions,omitempty"`
	Wrong     []ledger.AuditDifference `json:"wrong,omitempty"`
}

// Run checks and prints the result; a broken chain is exit code 1.
func (c *auditVerifyCommand) Run(s *session) error {
	if c.File != "" {
		if err := s.given.refuse("does not go with a file, which is checked without a server", "api", "token-file"); err != nil {
			return err
		}
	}

	heads := make([]auditchain.Head, len(c.Head))
	for i, text := range c.Head {
		var err error
		if heads[i], err = auditchain.ParseHead(text); err != nil {
			return usagef("--head: %s", err)
		}
	}

	var found audited
	var err error
	if c.File != "" {
		found, err = c.file(s, heads)
	} else {
		if c.Raw != "" {
			return usagef("--raw goes with the file of an export")
		}
		found, err = c.verifyChain(s, heads)
	}

	var broken *auditchain.Broken
	if errors.As(err, &broken) {
		found.BrokenAt = broken.Seq
	}

	if s.json() {
		if found.OK = err == nil; err != nil {
			found.Error = err.Error()
		}
		return errors.Join(s.printJSON(found), err)
	}

	if err != nil {
		return err
	}
	if found.EventID != "" {
		return s.printf("%s holds, up to %s\n", visible(found.EventID), found.Head)
	}

	return s.printf("%d entries hold, up to %s; %d decisions agree\n", found.Entries, found.Head, *found.Decisions)
}

func (c *auditVerifyCommand) file(s *session, heads []auditchain.Head) (audited, error) {
	var found audited
	text, err := s.read(c.File)
	if err != nil {
		return found, err
	}

	document, known, err := auditchain.Read(text, heads...)
	if err != nil {
		return found, err
	}

	found.Entries, found.EventID, found.Head = int64(len(document.Proof.Links)), document.Record.EventID, &document.Proof.Head
	if known < len(heads) {
		return found, errors.New("the export does not reach to a head that was kept: check the chain itself for that")
	}
	if c.Raw == "" {
		return found, nil
	}

	raw, err := s.read(c.Raw)
	if err == nil && !document.Record.RawMatches(raw) {
		err = errors.New("the raw bytes are not those of the export: their SHA-256 is another")
	}

	return found, err
}

// verifyChain reads the whole chain from the API and trusts nothing but its bytes.
func (c *auditVerifyCommand) verifyChain(s *session, heads []auditchain.Head) (audited, error) {
	var found audited
	var chain auditchain.Chain
	kept := make(map[int64]auditchain.Head, len(heads))
	for _, h := range heads {
		if before, twice := kept[h.Seq]; twice && before != h || h.Seq == 0 && h != (auditchain.Head{}) {
			return found, &auditchain.Broken{Seq: h.Seq, Why: "its hash is not the one that was kept"}
		}
		kept[h.Seq] = h
	}

	delete(kept, 0)
	for {
		var page struct {
			Entries []auditchain.Entry `json:"entries"`
			Head    auditchain.Head    `json:"head"`
		}
		query := url.Values{"after": {strconv.FormatInt(chain.Head().Seq, 10)}}
		if _, err := s.fetchJSON(http.MethodGet, "/api/v1/audit", query, nil, &page); err != nil {
			return found, err
		}
		for i := range page.Entries {
			if err := chain.Add(&page.Entries[i]); err != nil {
				return found, err
			}
			if h, ok := kept[chain.Head().Seq]; ok && h != chain.Head() {
				return found, &auditchain.Broken{Seq: h.Seq, Why: "its hash is not the one that was kept"}
			}
			delete(kept, chain.Head().Seq)
		}
		head := chain.Head()
		found.Entries, found.Head = head.Seq, &head
		if len(page.Entries) > 0 {
			continue
		}
		if page.Head.Seq > head.Seq || page.Head.Seq == head.Seq && page.Head != head {
			return found, &auditchain.Broken{Seq: head.Seq + 1, Why: "it is missing, the chain is said to end with " + page.Head.String()}
		}
		break
	}

	for seq := range kept {
		return found, &auditchain.Broken{Seq: seq, Why: "it was kept and is missing: the chain was cut"}
	}

	return found, c.compareDecisions(s, &found)
}

func (c *auditVerifyCommand) compareDecisions(s *session, found *audited) error {
	var check struct {
		Checked int64                    `json:"checked"`
		Wrong   []ledger.AuditDifference `json:"wrong"`
	}
	if _, err := s.fetchJSON(http.MethodGet, "/api/v1/audit/decisions", nil, nil, &check); err != nil {
		return err
	}
	found.Decisions, found.Wrong = &check.Checked, check.Wrong
	if len(check.Wrong) == 0 {
		return nil
	}
	w := check.Wrong[0]
	return fmt.Errorf("a decision is %s: number %d of email %d, entry %d", w.What, w.Sequence, w.EmailID, w.Seq)
}
