package mailctl

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"mailroom/shared/ledger"
)

type destinationsCommands struct {
	List   destinationsListCommand `cmd:"" help:"List the destinations with breaker, waiting mail, last failure, next probe and pauses."`
	Pause  destinationPause        `cmd:"" help:"Send nothing to a destination until it is resumed; mail for it waits."`
	Resume destinationResume       `cmd:"" help:"Send to a destination again. It also ends a stop after an answer HTTP 410."`
}

type destinationsListCommand struct{}

// destinationRow is what the table shows of a destination.
type destinationRow struct {
	Name          string          `json:"name"`
	Host          string          `json:"url"`
	Breaker       string          `json:"breaker"`
	InFlight      int             `json:"in_flight"`
	MaxInFlight   int             `json:"max_in_flight"`
	Backlog       ledger.Backlog  `json:"backlog"`
	Paused        *ledger.Control `json:"paused"`
	GoneUntil     *time.Time      `json:"gone_until"`
	NextProbeAt   *time.Time      `json:"next_probe_at"`
	LastSuccessAt *time.Time      `json:"last_success_at"`
	LastFailureAt *time.Time      `json:"last_failure_at"`
	LastFailure   string          `json:"last_failure"`
}

// state says whether mail is sent there, and if not, why.
func (d destinationRow) state(now time.Time) string {
	switch {
	case d.Paused != nil:
		return "paused"
	case d.GoneUntil != nil && now.Before(*d.GoneUntil):
		return "gone"
	}
	return fallback(d.Breaker, "unknown")
}

// Run prints a line for each destination, then why some receive nothing.
func (c *destinationsListCommand) Run(s *session) error {
	var list struct {
		Destinations []destinationRow `json:"destinations"`
	}

	if err := s.callJSON(http.MethodGet, "/api/v1/destinations", nil, nil, &list); err != nil || s.json() {
		return err
	}

	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	line := liner(table)
	line("DESTINATION", "HOST", "STATE", "IN FLIGHT", "WAITING", "HELD", "OLDEST", "LAST SUCCESS", "LAST FAILURE", "NEXT PROBE")
	var notes []string
	for _, d := range list.Destinations {
		oldest := "-"
		if d.Backlog.Oldest != nil {
			oldest = age(s.now().Sub(*d.Backlog.Oldest))
		}
		line(d.Name, d.Host, d.state(s.now()), fmt.Sprintf("%d/%d", d.InFlight, d.MaxInFlight),
			strconv.FormatInt(d.Backlog.Retrying, 10), strconv.FormatInt(d.Backlog.Held, 10), oldest,
			fallback(stamp(d.LastSuccessAt), "-"), fallback(stamp(d.LastFailureAt), "-"),
			fallback(stamp(d.NextProbeAt), "-"))
		if d.Paused != nil {
			notes = append(notes, fmt.Sprintf("%s: paused by %s since %s: %s", d.Name, d.Paused.Actor, stamp(&d.Paused.At), d.Paused.Note))
		}
		if d.state(s.now()) == "gone" {
			notes = append(notes, fmt.Sprintf("%s: it answered HTTP 410; nothing is sent until %s or a resume", d.Name, stamp(d.GoneUntil)))
		}
		if d.LastFailure != "" {
			notes = append(notes, fmt.Sprintf("%s: the last failure was: %s", d.Name, d.LastFailure))
		}
	}

	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if len(notes) == 0 {
		return nil
	}

	for i := range notes {
		notes[i] = visible(notes[i]) + "\n"
	}

	return s.printf("\n%s", strings.Join(notes, ""))
}

// control has the flags of pause and resume.
type control struct {
	Name string `arg:"" help:"The destination."`
	Note string `required:"" help:"Why. It is stored in the audit chain."`
}

type (
	destinationPause  struct{ control }
	destinationResume struct{ control }
)

// Run pauses the destination.
func (c *destinationPause) Run(s *session) error { return c.send(s, "pause", "paused") }

// Run resumes the destination.
func (c *destinationResume) Run(s *session) error { return c.send(s, "resume", "resumed") }

func (c *control) send(s *session, verb, done string) error {
	body, err := json.Marshal(map[string]string{"note": c.Note})
	if err != nil {
		return fmt.Errorf("%s destination: %w", verb, err)
	}
	var out struct {
		Destination string `json:"destination"`
	}
	path := "/api/v1/destinations/" + strings.ReplaceAll(url.PathEscape(c.Name), ".", "%2E") + "/" + verb
	if err := s.callJSON(http.MethodPost, path, nil, body, &out); err != nil || s.json() {
		return err
	}
	return s.printf("%s is %s; workers follow within seconds\n", visible(out.Destination), done)
}
