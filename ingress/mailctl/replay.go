package mailctl

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

type replayCommands struct {
	Run    replayRunCommand  `cmd:"" default:"withargs" help:"Carry emails once more: first what would be, then, if you agree, for real."`
	List   replayListCommand `cmd:"" help:"List replays, newest first."`
	Show   replayShowCommand `cmd:"" help:"Show one replay, and with --items what became of each email."`
	Watch  replayWatch       `cmd:"" help:"Follow a replay until its end."`
	Pause  replayPause       `cmd:"" help:"Begin no further email until it is resumed."`
	Resume replayResume      `cmd:"" help:"Go on where it was paused."`
	Stop   replayStop        `cmd:"" help:"Begin no further email and end."`
	Rate   replayRate        `cmd:"" help:"Begin so many emails in a second."`
}

// choice is the filter of a list, of a replay and of a decision about many.
type choice struct {
	State       string `help:"Only this state, such as delivered."`
	Reason      string `help:"Only this reason, such as unroutable."`
	Source      string `help:"Only this source."`
	Tenant      string `help:"Only this tenant."`
	Sender      string `help:"Only emails with this in the sender."`
	Recipient   string `help:"Only emails with this in a recipient."`
	Destination string `help:"Only emails for this destination."`
	Since       string `help:"Only emails received from then on: RFC 3339, or ago, such as 36h."`
	Until       string `help:"Only emails received before: RFC 3339, or ago, such as 2h."`
}

func (c *choice) filter(now time.Time) (map[string]any, error) {
	out := map[string]any{}
	for name, value := range map[string]string{
		"state": c.State, "reason": c.Reason, "source": c.Source, "tenant": c.Tenant, "sender": c.Sender,
		"recipient": c.Recipient, "destination": c.Destination,
	} {
		if value != "" {
			out[name] = value
		}
	}
	for name, value := range map[string]string{"since": c.Since, "until": c.Until} {
		if value == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			ago, err := time.ParseDuration(value)
			if err != nil || ago < 0 {
				return nil, usagef("--%s: give a time such as 2026-11-25T08:00:00Z, or how long ago, such as 36h", name)
			}
			at = now.Add(-ago)
		}
		out[name] = at.UTC().Format(time.RFC3339Nano)
	}
	return out, nil
}

// bulk is what every command about many emails has.
type bulk struct {
	choice
	Rate   *float64 `help:"Emails per second at most; 0: as fast as it goes."`
	Note   string   `required:"" help:"Why; it is kept."`
	DryRun bool     `help:"Only say what would be."`
	Yes    bool     `short:"y" help:"Do not ask."`
	Detach bool     `help:"Do not follow it."`
}

type replayRunCommand struct {
	bulk
	From      string `enum:"held,routing,raw" default:"held" help:"From the held step, from routing by today's rules, or from the raw mail by today's parser and rules."`
	NewEffect bool   `help:"Send everything again, under keys of their own: destinations do the work a second time."`
}

// Run replays.
func (c *replayRunCommand) Run(s *session) error {
	from := c.From
	if from == "routing" {
		from = ledger.FromRoute
	}
	return c.bulk.run(s, map[string]any{"action": "replay", "from": from, "new_effect": c.NewEffect})
}

// run shows what would be, asks, and then does it.
func (b *bulk) run(s *session, request map[string]any) error {
	filter, err := b.filter(s.now())
	if err != nil {
		return err
	}
	request["filter"], request["note"] = filter, b.Note
	if b.Rate != nil {
		request["rate"] = *b.Rate
	}
	if b.DryRun || !b.Yes {
		ok, err := b.rehearse(s, request)
		if err != nil || !ok {
			return err
		}
	}
	request["dry_run"] = false
	var row ledger.ReplayRow
	if err := s.postReplay(request, &row); err != nil {
		return err
	}
	if b.Detach || s.json() {
		if s.json() {
			return s.printJSON(row)
		}
		return s.printf("replay %d is under way: mailctl replay watch %d\n", row.ID, row.ID)
	}
	return s.follow(row.ID)
}

// rehearse makes the dry run and asks whether to go on.
func (b *bulk) rehearse(s *session, request map[string]any) (bool, error) {
	request["dry_run"] = true
	var row ledger.ReplayRow
	if err := s.postReplay(request, &row); err != nil {
		return false, err
	}
	for !row.State.Final() {
		if err := s.pause(replayLook); err != nil {
			return false, err
		}
		if err := s.getReplay(row.ID, &row); err != nil {
			return false, err
		}
	}
	if row.Preview == nil {
		return false, fmt.Errorf("the dry run ended as %s", row.State)
	}
	if s.json() && b.DryRun {
		return false, s.printJSON(row)
	}
	if s.json() {
		return false, usagef("with -o json give --yes or --dry-run: nobody can be asked")
	}
	if err := s.printPreview(row.Preview); err != nil || b.DryRun {
		return false, err
	}
	if row.Preview.Would[ledger.ItemDecided]+row.Preview.Would[ledger.ItemStarted] == 0 {
		return false, s.printf("There is nothing to do.\n")
	}
	if err := s.printf("Go on? [y/N] "); err != nil {
		return false, err
	}
	var answer string
	_, _ = fmt.Fscanln(s.stdin, &answer) // no answer is a no
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return false, s.printf("Nothing was done.\n")
	}
	return true, nil
}

func (s *session) postReplay(request map[string]any, row *ledger.ReplayRow) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return s.quietly(http.MethodPost, "/api/v1/replays", body, row)
}

func (s *session) getReplay(id int64, row *ledger.ReplayRow) error {
	*row = ledger.ReplayRow{}
	return s.quietly(http.MethodGet, "/api/v1/replays/"+strconv.FormatInt(id, 10), nil, row)
}

// quietly is callJSON that prints nothing.
func (s *session) quietly(method, path string, body []byte, out any) error {
	resp, err := s.call(method, path, nil, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := readJSON(resp)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return foreign(resp)
	}
	return nil
}

func (s *session) printPreview(p *ledger.ReplayPreview) error {
	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "emails\t%d\n", p.Total) // Flush reports what goes wrong
	for _, state := range slices.Sorted(maps.Keys(p.ByState)) {
		_, _ = fmt.Fprintf(table, "  %s\t%d\n", visible(state), p.ByState[state])
	}
	_, _ = fmt.Fprintln(table, "would be\t")
	for _, code := range slices.Sorted(maps.Keys(p.Would)) {
		_, _ = fmt.Fprintf(table, "  %s\t%d\n", visible(string(code)), p.Would[code])
	}
	if p.Evaluated > 0 {
		_, _ = fmt.Fprintf(table, "read again\t%d, of which %d would be different\n", p.Evaluated, p.Changed)
	}
	for _, one := range p.Sample {
		if len(one.Changes) == 0 && one.Error == "" {
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\n", visible(one.EventID), visible(one.Error))
		for _, c := range one.Changes {
			_, _ = fmt.Fprintf(table, "  %s\t%s -> %s\n", visible(c.Field), visible(fallback(c.Before, "-")), visible(fallback(c.After, "-")))
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

type replayListCommand struct {
	Limit  int    `help:"How many at most."`
	Cursor string `help:"Go on where the page before ended."`
}

// Run lists replays.
func (c *replayListCommand) Run(s *session) error {
	query := url.Values{}
	if c.Limit != 0 {
		query.Set("limit", strconv.Itoa(c.Limit))
	}
	if c.Cursor != "" {
		query.Set("cursor", c.Cursor)
	}
	var page struct {
		Replays    []ledger.ReplayRow `json:"replays"`
		NextCursor string             `json:"next_cursor"`
	}
	if err := s.callJSON(http.MethodGet, "/api/v1/replays", query, nil, &page); err != nil || s.json() {
		return err
	}
	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tACTION\tFROM\tSTATE\tDONE\tSKIPPED\tFAILED\tTOTAL\tBY\tAGE")
	for _, r := range page.Replays {
		action := string(r.Action)
		if r.DryRun {
			action += " (dry run)"
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", r.ID, visible(action), visible(r.From), visible(string(r.State)),
			r.Done, r.Skipped, r.Failed, r.Total, visible(r.Actor), age(s.now().Sub(r.CreatedAt)))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if page.NextCursor != "" {
		return s.printf("\nMore: --cursor %s\n", visible(page.NextCursor))
	}
	return nil
}

type replayID struct {
	ID int64 `arg:"" help:"The replay's number."`
}

type replayShowCommand struct {
	replayID
	Items  bool   `help:"Show what became of each email."`
	Code   string `help:"With --items: only this result, such as refused."`
	Cursor string `help:"With --items: go on where the page before ended."`
}

// Run shows one.
func (c *replayShowCommand) Run(s *session) error {
	if c.Items {
		return c.items(s)
	}
	var r ledger.ReplayRow
	if err := s.callJSON(http.MethodGet, "/api/v1/replays/"+strconv.FormatInt(c.ID, 10), nil, nil, &r); err != nil || s.json() {
		return err
	}
	if err := s.printf("%s\n", progressLine(&r)); err != nil {
		return err
	}
	for _, code := range slices.Sorted(maps.Keys(r.Results)) {
		if err := s.printf("  %s\t%d\n", visible(code), r.Results[code]); err != nil {
			return err
		}
	}
	if r.Preview != nil {
		return s.printPreview(r.Preview)
	}
	return nil
}

func (c *replayShowCommand) items(s *session) error {
	query := url.Values{}
	for name, value := range map[string]string{"code": c.Code, "cursor": c.Cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var page struct {
		Items      []ledger.ReplayItem `json:"items"`
		NextCursor string              `json:"next_cursor"`
	}
	err := s.callJSON(http.MethodGet, "/api/v1/replays/"+strconv.FormatInt(c.ID, 10)+"/items", query, nil, &page)
	if err != nil || s.json() {
		return err
	}
	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "EMAIL\tRESULT\tNOW\tSENT\tSAME\tDETAIL")
	for _, i := range page.Items {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", visible(i.EventID), visible(fallback(string(i.Code), string(i.State))),
			visible(string(i.EmailState)), i.Sent, i.Same, visible(i.Detail))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if page.NextCursor != "" {
		return s.printf("\nMore: --cursor %s\n", visible(page.NextCursor))
	}
	return nil
}

type (
	replayWatch  struct{ replayID }
	replayPause  struct{ replayID }
	replayResume struct{ replayID }
	replayStop   struct{ replayID }
	replayRate   struct {
		replayID
		Rate float64 `arg:"" help:"Emails per second; 0: as fast as it goes."`
	}
)

// Run follows it.
func (c *replayWatch) Run(s *session) error { return s.follow(c.ID) }

// Run pauses it.
func (c *replayPause) Run(s *session) error { return s.controlReplay(c.ID, contract.ReplayPause, nil) }

// Run resumes it.
func (c *replayResume) Run(s *session) error {
	return s.controlReplay(c.ID, contract.ReplayResume, nil)
}

// Run stops it.
func (c *replayStop) Run(s *session) error { return s.controlReplay(c.ID, contract.ReplayStop, nil) }

// Run sets its rate.
func (c *replayRate) Run(s *session) error {
	body, err := json.Marshal(contract.ReplayRate{Rate: c.Rate})
	if err != nil {
		return usagef("the rate is a number")
	}
	return s.controlReplay(c.ID, "rate", body)
}

func (s *session) controlReplay(id int64, what string, body []byte) error {
	var r ledger.ReplayRow
	err := s.callJSON(http.MethodPost, fmt.Sprintf("/api/v1/replays/%d/%s", id, what), nil, body, &r)
	if err != nil || s.json() {
		return err
	}
	return s.printf("%s\n", progressLine(&r))
}

// replayLook is how often a replay is looked at.
const replayLook = 500 * time.Millisecond

// follow shows how far a replay is until its end: a bar on a terminal, else a line
// whenever something has changed. Whoever stops looking stops nothing.
func (s *session) follow(id int64) error {
	bar, last := terminal(s.stdout) && s.getenv("TERM") != "dumb", ""
	for {
		var r ledger.ReplayRow
		err := s.getReplay(id, &r)
		if s.ctx.Err() != nil {
			return s.left(id, bar)
		}
		if err != nil {
			return err
		}
		if line := progressLine(&r); bar {
			err = s.printf("\r\x1b[K%s", progressBar(&r)+line)
		} else if line != last {
			err, last = s.printf("%s\n", line), line
		}
		if err != nil {
			return err
		}
		if r.State.Final() {
			if bar {
				_ = s.printf("\n")
			}
			if r.State == contract.ReplayFailed || r.Failed > 0 {
				return fmt.Errorf("replay %d: %d failed: mailctl replay show %d --items --code unavailable", id, r.Failed, id)
			}
			return nil
		}
		if s.pause(replayLook) != nil {
			return s.left(id, bar)
		}
	}
}

// left tells that the replay goes on.
func (s *session) left(id int64, bar bool) error {
	if bar {
		_ = s.printf("\n")
	}
	return s.printf("It goes on without you. mailctl replay stop %d stops it, mailctl replay watch %d shows it.\n", id, id)
}

// pause waits, or ends with the session.
func (s *session) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return os.ErrDeadlineExceeded
	}
}

func progressLine(r *ledger.ReplayRow) string {
	total := "?"
	if r.Total >= 0 {
		total = strconv.FormatInt(r.Total, 10)
	}
	line := fmt.Sprintf("replay %d %s: %d of %s (%d done, %d skipped, %d failed)",
		r.ID, visible(string(r.State)), r.Done+r.Skipped+r.Failed, total, r.Done, r.Skipped, r.Failed)
	if r.Pace > 0 && !r.State.Final() {
		line += fmt.Sprintf(", %.1f/s", r.Pace)
	}
	if r.Left > 0 {
		line += ", " + age(time.Duration(r.Left*float64(time.Second))) + " left"
	}
	return line
}
