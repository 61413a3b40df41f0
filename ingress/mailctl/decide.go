package mailctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// decision has the flags of approve, discard, retry and hold: about one email, or about
// all that the filter chooses.
type decision struct {
	EventID string `arg:"" optional:"" name:"id" help:"Event id; for an email whose event id was taken already, its workflow id."`
	Number  int64  `placeholder:"N" help:"The number of the email, in place of an id. It means exactly one email."`
	All     bool   `help:"Decide about all emails that the filter chooses, after a dry run that counts them: the held ones, or with --state retrying those that wait."`
	bulk
}

type (
	approveCommand struct{ decision }
	discardCommand struct{ decision }
	retryCommand   struct{ decision }
	holdCommand    struct{ decision }
)

// Run approves one email, or all that the filter chooses.
func (c *approveCommand) Run(s *session) error { return c.decide(s, contract.Approve) }

// Run discards one email, or all that the filter chooses.
func (c *discardCommand) Run(s *session) error { return c.decide(s, contract.Discard) }

// Run retries one email, or all that the filter chooses.
func (c *retryCommand) Run(s *session) error { return c.decide(s, contract.Retry) }

// Run holds one email that waits for its next attempt, or all that the filter chooses.
func (c *holdCommand) Run(s *session) error { return c.decide(s, contract.Held) }

// flagsOfOne lists the flags that go with the id of one email. --yes is one of them: there
// is no question about one email anyway.
var flagsOfOne = []string{"note", "source", "number", "dry-run", "yes", "output", "api", "token-file"}

func (d *decision) decide(s *session, action contract.Action) error {
	switch {
	case d.All && (d.EventID != "" || d.Number != 0):
		return usagef("give either an id, --number or --all")
	case d.All:
		return d.run(s, map[string]any{"action": action})
	case d.EventID == "" && d.Number == 0:
		return usagef("give the id of an email, --number, or --all and a filter")
	}
	if err := d.named().check(); err != nil {
		return err
	}
	for _, name := range s.given {
		if !slices.Contains(flagsOfOne, name) {
			return usagef("--%s goes with --all: an id names one email", name)
		}
	}

	if d.DryRun {
		return d.rehearseOne(s, action)
	}
	return d.decideOne(s, action)
}

// named returns the email that the decision is about.
func (d *decision) named() one { return one{EventID: d.EventID, Source: d.Source, Number: d.Number} }

// decideOne sends the decision about one email.
func (d *decision) decideOne(s *session, action contract.Action) error {
	body, err := json.Marshal(map[string]string{"action": string(action), "note": d.Note})
	if err != nil {
		return fmt.Errorf("decision: %w", err)
	}

	var out struct {
		State     contract.State `json:"state"`
		Missing   int            `json:"missing"`
		Delivered []string       `json:"delivered"`
	}
	named := d.named()
	err = s.callJSON(http.MethodPost, named.path("/decisions"), named.query(), body, &out)
	if err != nil || s.json() {
		return err
	}
	more := ""
	if out.Missing > 0 {
		more = "\t" + toApprove(out.Missing)
	}
	if len(out.Delivered) > 0 {
		more = "\tdelivered before to " + visible(strings.Join(out.Delivered, ", "))
	}
	return s.printf("%s\t%s\t%s%s\n", visible(named.name()), action, visible(out.State.Word()), more)
}

// rehearsal is what a dry run of a decision about one email prints with -o json.
type rehearsal struct {
	DryRun  bool              `json:"dry_run"`
	EventID string            `json:"event_id"`
	Action  contract.Action   `json:"action"`
	Would   ledger.ReplayCode `json:"would"` // decided, not_held or not_waiting
	State   contract.State    `json:"state"`
	Reason  contract.Reason   `json:"reason"`
	Detail  string            `json:"detail"`
	// Missing is how many more people would have to approve after an approval.
	Missing int `json:"missing,omitempty"`
}

// outcomes say what each decision would do.
var outcomes = map[contract.Action]string{
	contract.Approve: "approve would waive this; it would go on to its destinations",
	contract.Discard: "discard would end it without delivering it",
	contract.Retry:   "retry would run the step that holds it again",
}

// outcomesWaiting say what each decision would do about an email that waits.
var outcomesWaiting = map[contract.Action]string{
	contract.Discard: "discard would end it; what was delivered stays delivered",
	contract.Retry:   "retry would make the next attempt now",
	contract.Held:    "hold would keep it until it is approved",
}

// outcomeOf says what a decision would do about an email; empty where it would be refused.
func outcomeOf(action contract.Action, state contract.State) string {
	switch state {
	case contract.Quarantined:
		return outcomes[action]
	case contract.Retrying:
		return outcomesWaiting[action]
	}
	return ""
}

// rehearseOne says what a decision about one email would do, and sends none. An email
// that it cannot be about is an error, as it is for the decision itself.
func (d *decision) rehearseOne(s *session, action contract.Action) error {
	var e ledger.EmailDetail
	named := d.named()
	if _, err := s.fetchJSON(http.MethodGet, named.path(""), named.query(), nil, &e); err != nil {
		return err
	}

	outcome, missing := outcomeOf(action, e.State), 0
	if action == contract.Approve && outcome != "" {
		missing = max(0, e.ApprovalsMissing-1)
	}
	if s.json() {
		found := rehearsal{
			DryRun: true, EventID: e.EventID, Action: action, Would: ledger.ItemDecided,
			State: e.State, Reason: e.Reason, Detail: e.Detail, Missing: missing,
		}
		if outcome == "" {
			found.Would = refusedAs(action)
		}
		if err := s.printJSON(found); err != nil {
			return err
		}
	}
	switch {
	case outcome == "" && action == contract.Held:
		return errors.New("this email waits for no attempt: its state is " + e.State.Word())
	case outcome == "":
		return errors.New("this email is not held: its state is " + string(e.State))
	case s.json():
		return nil
	}
	if missing > 0 {
		outcome = "approve would count; " + toApprove(missing) + " before it goes on"
	}
	is := map[contract.State]string{contract.Quarantined: "is held", contract.Retrying: "waits"}[e.State]
	return s.printf("%s %s, %s\n%s; nothing was done\n", visible(e.EventID), is, visible(because(e.Reason, e.Detail)), outcome)
}

// refusedAs returns what a replay calls an email that an action cannot be about.
func refusedAs(action contract.Action) ledger.ReplayCode {
	if action == contract.Held {
		return ledger.ItemNotWaiting
	}
	return ledger.ItemNotHeld
}

// because returns a reason with its detail, if it has one.
func because(reason contract.Reason, detail string) string {
	return strings.TrimSuffix(string(reason)+": "+detail, ": ")
}
