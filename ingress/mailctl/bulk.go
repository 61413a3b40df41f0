package mailctl

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// choice is the filter of a list, of a replay and of a decision about many.
type choice struct {
	State       string `help:"Only this state: processing, retrying, held, delivered, discarded or duplicate."`
	Reason      string `help:"Only this reason, such as unroutable."`
	Source      string `help:"Only this source."`
	Tenant      string `help:"Only this tenant."`
	Sender      string `help:"Only emails with this in the sender."`
	Recipient   string `aliases:"to" help:"Only emails with this in a recipient; also --to."`
	Destination string `help:"Only emails for this destination."`
	Since       string `help:"Only emails received since then: a time (RFC 3339), or how long ago, such as 36h."`
	Until       string `help:"Only emails received before: a time (RFC 3339), or how long ago, such as 2h."`
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
	Rate   *float64 `help:"Emails per second at most; 0: as fast as possible."`
	Note   string   `required:"" help:"Why. It is stored with each decision."`
	DryRun bool     `help:"Show what would happen, and do nothing."`
	Yes    bool     `short:"y" help:"Do not ask."`
	Key    string   `help:"With --yes: a name of your own for this replay. Repeating the command with the same key starts it once."`
	Detach bool     `help:"Return at once instead of following it."`
}

// run makes a dry run, asks for a confirmation, and then starts what was counted.
func (b *bulk) run(s *session, request map[string]any) error {
	filter, err := b.filter(s.now())
	if err != nil {
		return err
	}

	if b.DryRun {
		if err := s.given.refuse("does not go with --dry-run: nothing is started", "detach", "key"); err != nil {
			return err
		}
	}

	request["filter"], request["note"] = filter, b.Note
	if b.Rate != nil {
		request["rate"] = *b.Rate
	}

	var row ledger.ReplayRow
	if b.DryRun || !b.Yes {
		if b.Key != "" {
			return usagef("--key goes with --yes: a dry run starts one replay anyway")
		}
		dry, err := b.rehearse(s, request)
		if err != nil || dry == nil {
			return err
		}
		err = postReplay(s, replayID{dry.ID}.path("/start"), map[string]any{"count": dry.Preview.Total}, &row)
		if err != nil {
			return err
		}
	} else {
		if request["dry_run"] = false; b.Key != "" {
			request["key"] = b.Key
		}
		if err := postReplay(s, "/api/v1/replays", request, &row); err != nil {
			return err
		}
		if err := s.warn(&row); err != nil {
			return err
		}
	}

	if b.Detach || s.json() {
		if s.json() {
			return s.printJSON(row)
		}
		return s.printf("replay %d is running: follow it with mailctl replay watch %d\n", row.ID, row.ID)
	}

	return replayID{row.ID}.follow(s)
}

// rehearse makes the dry run and asks for a confirmation. It returns nil without an error
// where nothing is to be started.
func (b *bulk) rehearse(s *session, request map[string]any) (*ledger.ReplayRow, error) {
	request["dry_run"] = true
	var row ledger.ReplayRow
	if err := postReplay(s, "/api/v1/replays", request, &row); err != nil {
		return nil, err
	}

	dry := replayID{row.ID}
	for !row.State.Final() {
		if err := pause(s.ctx, replayPoll); err != nil {
			return nil, err
		}
		if err := dry.load(s, &row); err != nil {
			return nil, err
		}
	}

	if row.Preview == nil {
		return nil, fmt.Errorf("the dry run ended as %s and has counted nothing: start it again", row.State)
	}
	if s.json() && b.DryRun {
		return nil, s.printJSON(row)
	}
	if s.json() {
		return nil, usagef("with -o json give --yes or --dry-run: there is no question in JSON")
	}
	if err := printPreview(s, &row); err != nil {
		return nil, err
	}
	if err := s.warn(&row); err != nil {
		return nil, err
	}
	if err := b.printMissing(s, &row); err != nil || b.DryRun {
		return nil, err
	}
	if row.Preview.Would[ledger.ItemDecided]+row.Preview.Would[ledger.ItemStarted] == 0 {
		return nil, s.printf("There is nothing to do.\n")
	}
	if err := s.confirm(); err != nil {
		return nil, err
	}

	return &row, nil
}

// warn prints the warning of a replay that goes against the advice.
func (s *session) warn(row *ledger.ReplayRow) error {
	if row.Warning == "" || s.json() {
		return nil
	}
	return s.printf("Against the advice: %s\n", visible(row.Warning))
}

// confirm asks whether to go on. Anything but yes is an error: a script must not take what
// was not done for done.
func (s *session) confirm() error {
	if err := s.printf("Go on? [y/N] "); err != nil {
		return err
	}

	line, err := bufio.NewReader(s.stdin).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	switch {
	case answer == "y" || answer == "yes":
		return nil
	case answer == "" && err != nil:
		return errors.New("the question was not answered and nothing was done: --yes starts without a question")
	default:
		return errors.New("nothing was done: the answer was not yes (--yes starts without a question)")
	}
}

// printMissing says how many emails an approval leaves held, because another person has
// to approve them too. It reads the first page of what the filter chooses.
func (b *bulk) printMissing(s *session, row *ledger.ReplayRow) error {
	if row.Action != contract.Approve {
		return nil
	}
	filter, err := b.filter(s.now())
	if err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(ledger.MaxLimit)}}
	for name, value := range filter {
		if text, ok := value.(string); ok {
			query.Set(name, text)
		}
	}
	query.Set("state", string(contract.Quarantined))

	var page emailsPage
	if _, err := s.fetchJSON(http.MethodGet, "/api/v1/emails", query, nil, &page); err != nil {
		return err
	}
	missing := 0
	for _, e := range page.Emails {
		if e.ApprovalsMissing > 1 {
			missing++
		}
	}

	if missing == 0 {
		return nil
	}
	return s.printf("%d of the first %d stay held: another person has to approve them after you\n", missing, len(page.Emails))
}

// printPreview prints what a dry run has counted.
func printPreview(s *session, row *ledger.ReplayRow) error {
	p := row.Preview
	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "emails\t%d\n", p.Total) // Flush reports what goes wrong
	if p.Total == 0 {
		_, _ = fmt.Fprintln(table, "no email matches")
	}
	for _, state := range slices.Sorted(maps.Keys(p.ByState)) {
		does := ""
		if state == string(contract.Retrying) {
			does = "\t" + row.WaitingText()
		}
		_, _ = fmt.Fprintf(table, "  %s\t%d%s\n", visible(contract.State(state).Word()), p.ByState[state], does)
	}

	if len(p.Would) > 0 {
		_, _ = fmt.Fprintln(table, "would be\t")
	}
	for _, code := range slices.Sorted(maps.Keys(p.Would)) {
		_, _ = fmt.Fprintf(table, "  %s\t%d\n", visible(string(code)), p.Would[code])
	}

	for _, part := range []struct {
		title string
		count map[string]int64
	}{{"would begin from", p.Begins}, {"would be held again as", p.HeldAgain}} {
		if len(part.count) > 0 {
			_, _ = fmt.Fprintf(table, "%s\t\n", part.title)
		}
		for _, name := range slices.Sorted(maps.Keys(part.count)) {
			_, _ = fmt.Fprintf(table, "  %s\t%d\n", visible(name), part.count[name])
		}
	}

	if p.Evaluated > 0 {
		_, _ = fmt.Fprintf(table, "read again\t%d, of which %d would be different\n", p.Evaluated, p.Changed)
	}

	for _, sample := range p.Sample {
		if len(sample.Changes) == 0 && sample.Error == "" {
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\n", visible(sample.EventID), visible(sample.Error))
		for _, c := range sample.Changes {
			_, _ = fmt.Fprintf(table, "  %s\t%s -> %s\n", visible(c.Field), visible(fallback(c.Before, "-")), visible(fallback(c.After, "-")))
		}
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}

	return nil
}
