package mailctl

import (
	"fmt"
	"net/http"
	"text/tabwriter"

	"mailroom/shared/ledger"
)

type overviewCommand struct{}

// Run prints what needs attention, then how many emails are in each state.
func (c *overviewCommand) Run(s *session) error {
	var o struct {
		Alerts []ledger.Alert      `json:"alerts"`
		States []ledger.StateCount `json:"states"`
		Inbox  ledger.Inbox        `json:"inbox"`
	}
	if err := s.callJSON(http.MethodGet, "/api/v1/overview", nil, nil, &o); err != nil || s.json() {
		return err
	}

	if len(o.Alerts) == 0 {
		if err := s.printf("No alerts.\n"); err != nil {
			return err
		}
	}
	for _, a := range o.Alerts {
		if err := s.printf("ALERT  %s\n       see the page /help/%s of the console\n", visible(a.Text), visible(a.Help)); err != nil {
			return err
		}
	}
	if err := s.printf("\n"); err != nil {
		return err
	}

	table := tabwriter.NewWriter(s.stdout, 0, 8, 2, ' ', 0)
	line := liner(table)
	line("STATE", "EMAILS")
	for _, state := range o.States {
		line(string(state.State), fmt.Sprint(state.Count))
	}
	line("waiting to be started", fmt.Sprint(o.Inbox.Waiting))
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
