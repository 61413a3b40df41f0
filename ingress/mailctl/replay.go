package mailctl

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"text/tabwriter"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

type replayCommands struct {
	Run    replayRunCommand  `cmd:"" default:"withargs" help:"Run emails again: a dry run first, then, if you confirm, for real."`
	List   replayListCommand `cmd:"" help:"List what was started, newest first; --dry-runs lists dry runs."`
	Show   replayShowCommand `cmd:"" help:"Show one replay, and with --items the result for each email."`
	Watch  replayWatch       `cmd:"" help:"Follow a replay until its end."`
	Pause  replayPause       `cmd:"" help:"Start no further email until it is resumed."`
	Resume replayResume      `cmd:"" help:"Continue where it was paused."`
	Stop   replayStop        `cmd:"" help:"Start no further email and end the replay."`
	Rate   replayRate        `cmd:"" help:"Set how many emails are started per second."`
}

type replayRunCommand struct {
	bulk
	From      string `enum:"held,route,routing,raw" default:"held" help:"Where to begin: held is the step that holds the email, route the route step with today's rules, raw the raw mail with today's parser and rules. An email begins earlier where an earlier step is not known to be passed, and holds that are not approved hold it again. (routing is an older name of route.)"`
	NewEffect bool   `help:"Send again what destinations already have, under other idempotency keys: they do the work a second time."`
}

// Run starts a replay.
func (c *replayRunCommand) Run(s *session) error {
	from := c.From
	if from == "routing" {
		from = ledger.FromRoute
	}
	return c.bulk.run(s, map[string]any{"action": "replay", "from": from, "new_effect": c.NewEffect})
}

type replayListCommand struct {
	DryRuns bool   `help:"List dry runs instead of what was started."`
	Limit   int    `help:"How many at most."`
	Cursor  string `help:"Continue after the previous page, with the cursor that it printed."`
}

// Run prints one page.
func (c *replayListCommand) Run(s *session) error {
	query := url.Values{}
	if c.Limit != 0 {
		query.Set("limit", strconv.Itoa(c.Limit))
	}
	if c.Cursor != "" {
		query.Set("cursor", c.Cursor)
	}
	if c.DryRuns {
		query.Set("dry_runs", "true")
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

	return s.endPage(table, page.NextCursor)
}

// replayID names a replay.
type replayID struct {
	ID int64 `arg:"" help:"The replay's number."`
}

// path returns the path of the replay in the operator API.
func (r replayID) path(rest string) string {
	return "/api/v1/replays/" + strconv.FormatInt(r.ID, 10) + rest
}

// control posts to the replay what it shall do, and prints how far it is.
func (r replayID) control(s *session, what string, body []byte) error {
	var row ledger.ReplayRow
	if err := s.callJSON(http.MethodPost, r.path("/"+what), nil, body, &row); err != nil || s.json() {
		return err
	}
	return s.printf("%s\n", progressLine(&row))
}

// load reads the row of the replay.
func (r replayID) load(s *session, row *ledger.ReplayRow) error {
	*row = ledger.ReplayRow{}
	_, err := s.fetchJSON(http.MethodGet, r.path(""), nil, nil, row)
	return err
}

// postReplay posts a request that starts a replay, and reads the row of what it started.
func postReplay(s *session, path string, request map[string]any, row *ledger.ReplayRow) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	_, err = s.fetchJSON(http.MethodPost, path, nil, body, row)
	return err
}

type replayShowCommand struct {
	replayID
	Items  bool   `help:"Show the result for each email."`
	Code   string `help:"With --items: only this result, such as refused."`
	Cursor string `help:"With --items: continue after the previous page, with the cursor that it printed."`
}

// Run prints one replay.
func (c *replayShowCommand) Run(s *session) error {
	if c.Items {
		return c.items(s)
	}
	if err := s.given.refuse("goes with --items", "code", "cursor"); err != nil {
		return err
	}

	var r ledger.ReplayRow
	if err := s.callJSON(http.MethodGet, c.path(""), nil, nil, &r); err != nil || s.json() {
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
		return printPreview(s, &r)
	}

	return printOutcomes(s, &r)
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

	err := s.callJSON(http.MethodGet, c.path("/items"), query, nil, &page)
	if err != nil || s.json() {
		return err
	}

	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "EMAIL\tRESULT\tNOW\tSENT\tSAME\tDETAIL")
	for _, i := range page.Items {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", visible(i.EventID), visible(fallback(string(i.Code), string(i.State))),
			visible(i.EmailState.Word()), i.Sent, i.Same, visible(i.Detail))
	}

	return s.endPage(table, page.NextCursor)
}

type (
	replayWatch  struct{ replayID }
	replayPause  struct{ replayID }
	replayResume struct{ replayID }
	replayStop   struct{ replayID }
	replayRate   struct {
		replayID
		Rate float64 `arg:"" help:"Emails per second; 0: as fast as possible."`
	}
)

// Run follows the replay.
func (c *replayWatch) Run(s *session) error { return c.follow(s) }

// Run pauses the replay.
func (c *replayPause) Run(s *session) error { return c.control(s, contract.ReplayPause, nil) }

// Run resumes the replay.
func (c *replayResume) Run(s *session) error { return c.control(s, contract.ReplayResume, nil) }

// Run stops the replay.
func (c *replayStop) Run(s *session) error { return c.control(s, contract.ReplayStop, nil) }

// Run sets the rate of the replay.
func (c *replayRate) Run(s *session) error {
	body, err := json.Marshal(contract.ReplayRate{Rate: c.Rate})
	if err != nil {
		return usagef("the rate is a number")
	}
	return c.control(s, "rate", body)
}
