package mailctl

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"mailroom/shared/ledger"
)

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
	Key    string   `help:"With --yes: a name of your own for this replay. The same command with the same key begins it once."`
	Detach bool     `help:"Do not follow it."`
}

// run shows what would be, asks, and then does it.
func (b *bulk) run(s *session, request map[string]any) error {
	filter, err := b.filter(s.now())
	if err != nil {
		return err
	}

	if b.DryRun {
		if err := s.refuseGiven("does not go with --dry-run: nothing is begun", "detach", "key"); err != nil {
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
		err = s.postReplay(fmt.Sprintf("/api/v1/replays/%d/start", dry.ID), map[string]any{"count": dry.Preview.Total}, &row)
		if err != nil {
			return err
		}
	} else {
		if request["dry_run"] = false; b.Key != "" {
			request["key"] = b.Key
		}
		if err := s.postReplay("/api/v1/replays", request, &row); err != nil {
			return err
		}
	}

	if b.Detach || s.json() {
		if s.json() {
			return s.printJSON(row)
		}
		return s.printf("replay %d is under way: mailctl replay watch %d\n", row.ID, row.ID)
	}

	return s.follow(row.ID)
}

// rehearse makes the dry run, asks whether to go on, and gives the dry run if so.
func (b *bulk) rehearse(s *session, request map[string]any) (*ledger.ReplayRow, error) {
	request["dry_run"] = true
	var row ledger.ReplayRow
	if err := s.postReplay("/api/v1/replays", request, &row); err != nil {
		return nil, err
	}

	for !row.State.Final() {
		if err := s.pause(replayLook); err != nil {
			return nil, err
		}
		if err := s.getReplay(row.ID, &row); err != nil {
			return nil, err
		}
	}

	if row.Preview == nil {
		return nil, fmt.Errorf("the dry run ended as %s", row.State)
	}
	if s.json() && b.DryRun {
		return nil, s.printJSON(row)
	}
	if s.json() {
		return nil, usagef("with -o json give --yes or --dry-run: nobody can be asked")
	}
	if err := s.printPreview(row.Preview); err != nil || b.DryRun {
		return nil, err
	}
	if row.Preview.Would[ledger.ItemDecided]+row.Preview.Would[ledger.ItemStarted] == 0 {
		return nil, s.printf("There is nothing to do.\n")
	}
	if err := s.printf("Go on? [y/N] "); err != nil {
		return nil, err
	}

	var answer string
	if _, err := fmt.Fscanln(s.stdin, &answer); errors.Is(err, io.EOF) {
		return nil, errors.New("the question was not answered, nothing was done: --yes goes on without one")
	}
	if answer = strings.ToLower(answer); answer != "y" && answer != "yes" {
		return nil, s.printf("Nothing was done.\n")
	}

	return &row, nil
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
