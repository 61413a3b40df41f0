package batch

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"mailroom/ingress/operator/access"
	"mailroom/ingress/operator/decision"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
)

const (
	// DefaultRate is the rate of a replay that names none, in emails per second:
	// destinations get mail beside what comes in.
	DefaultRate = 50
	// maxText bounds one text of a filter in bytes.
	maxText = 1000
	// maxKey bounds a caller's key in bytes.
	maxKey = 200
)

// Request asks for a replay or a decision about many emails. The caller is not in it.
type Request struct {
	Filter Filter `json:"filter"`
	// Action is replay, approve, discard or retry; empty means replay.
	Action contract.Action `json:"action"`
	From   string          `json:"from"`
	// Rate is emails per second; 0 is as fast as it goes. A replay that names none
	// has a moderate one, a decision none.
	Rate      *float64 `json:"rate"`
	AtOnce    int      `json:"at_once"`
	Note      string   `json:"note"`
	DryRun    bool     `json:"dry_run"`
	NewEffect bool     `json:"new_effect"`
	// Key is made by the caller and names this replay among the caller's own: asked
	// for again with the same key, it is begun once. Empty: each request begins one.
	Key string `json:"key"`
}

// Filter is what a caller may say of a ledger.Filter.
type Filter struct {
	State       contract.State  `json:"state"`
	Reason      contract.Reason `json:"reason"`
	Source      string          `json:"source"`
	Tenant      string          `json:"tenant"`
	Sender      string          `json:"sender"`
	Recipient   string          `json:"recipient"`
	Destination string          `json:"destination"`
	Since       time.Time       `json:"since"`
	Until       time.Time       `json:"until"`
	Query       string          `json:"q"`
	// Emails are those that were chosen one by one, with the version that was looked at;
	// one that has changed since is left out.
	Emails []ledger.Chosen `json:"emails"`
}

// FilterOf returns what a caller says with f.
func FilterOf(f ledger.Filter) Filter {
	return Filter{
		State: f.State, Reason: f.Reason, Source: f.Source, Tenant: f.Tenant, Sender: f.Sender, Recipient: f.Recipient,
		Destination: f.Destination, Since: f.Since, Until: f.Until, Query: f.Query, Emails: f.Emails,
	}
}

// check returns the replay that the request asks for, as it is written down.
func (in *Request) check() (ledger.NewReplay, error) {
	out := ledger.NewReplay{Action: in.Action, DryRun: in.DryRun, NewEffect: in.NewEffect, Note: in.Note, AtOnce: in.AtOnce, Key: in.Key}
	if out.Action == "" {
		out.Action = ledger.ActionReplay
	}

	bulk := out.Action != ledger.ActionReplay
	var err error
	if out.From, err = stepOf(in.From); err != nil {
		return out, err
	}
	if in.Rate != nil {
		out.Rate = *in.Rate
	} else if !bulk {
		out.Rate = DefaultRate
	}

	if out.Filter, err = in.Filter.check(); err != nil {
		return out, err
	}

	states := decidable(out.Action, out.From)
	switch {
	case !slices.Contains([]contract.Action{ledger.ActionReplay, contract.Approve, contract.Discard, contract.Retry, contract.Held}, out.Action):
		return out, fault.New(fault.RequestInvalid, "action must be replay, approve, discard, retry or hold")
	case bulk && out.From != "" && out.Action != contract.Retry:
		return out, fault.New(fault.RequestInvalid, "from goes with the actions replay and retry alone")
	case in.NewEffect && (bulk || out.From == ""):
		return out, fault.New(fault.RequestInvalid, "a new effect goes with a replay from the route step or from the raw mail")
	case states != nil && out.Filter.State != "" && !slices.Contains(states, out.Filter.State):
		return out, fault.Newf(fault.RequestInvalid, "%s goes with emails in the state %s alone", out.Action, join(states))
	case out.Action == contract.Approve && out.Filter.Reason == "" && len(out.Filter.Emails) > 0:
		return out, fault.New(fault.RequestInvalid, "emails of several reasons are not approved at once: select those of one reason")
	case out.Action == contract.Approve && out.Filter.Reason == "":
		return out, fault.New(fault.RequestInvalid, "a reason must say what is approved: many emails are not approved for whatever holds them")
	case in.AtOnce < 0 || in.AtOnce > contract.MaxAtOnce:
		return out, fault.Newf(fault.RequestInvalid, "at_once must be from 1 to %d", contract.MaxAtOnce)
	case len(in.Key) > maxKey || !access.Plain(in.Key):
		return out, fault.Newf(fault.RequestInvalid, "key must be at most %d bytes of printable UTF-8", maxKey)
	}

	if err := decision.CheckNote(in.Note); err != nil {
		return out, err
	}
	if states != nil && out.Filter.State == "" {
		out.Filter.State = states[0]
	}

	return out, checkRate(out.Rate)
}

// decidable returns the states that an action is for, the one first that a filter without
// a state means; nil for a replay from an earlier step, which is for all.
func decidable(action contract.Action, from contract.Step) []contract.State {
	switch {
	case action == contract.Approve:
		return []contract.State{contract.Quarantined}
	case action == contract.Held:
		return []contract.State{contract.Retrying}
	case action == ledger.ActionReplay && from != "":
		return nil
	}
	return []contract.State{contract.Quarantined, contract.Retrying}
}

func join(states []contract.State) string {
	out := make([]string, len(states))
	for i, s := range states {
		out[i] = s.Word()
	}
	return strings.Join(out, " or ")
}

// stepOf returns the step that a request names; "" is the step that holds an email. The
// API also accepts the names routing and store.
func stepOf(from string) (contract.Step, error) {
	switch from {
	case "", ledger.FromHeld:
		return "", nil
	case ledger.FromRoute, "routing":
		return contract.StepRoute, nil
	case ledger.FromRaw, "store":
		return contract.StepStore, nil
	}
	return "", fault.Newf(fault.RequestInvalid, "from must be %s, %s or %s", ledger.FromHeld, ledger.FromRoute, ledger.FromRaw)
}

// asksFor reports whether a stored replay is what a request asks for. The rate does not
// count.
func asksFor(row *ledger.ReplayRow, in ledger.NewReplay) bool {
	a, b := row.Filter, in.Filter
	times := a.Since.Equal(b.Since) && a.Until.Equal(b.Until)
	a.Since, a.Until = b.Since, b.Until
	return times && reflect.DeepEqual(a, b) && row.Action == in.Action && row.FromStep() == in.From && row.DryRun == in.DryRun &&
		row.NewEffect == in.NewEffect && row.Note == in.Note
}

func checkRate(rate float64) error {
	if math.IsNaN(rate) || rate < 0 || rate > contract.MaxReplayRate {
		return fault.Newf(fault.RequestInvalid, "rate must be from 0 to %d emails per second", contract.MaxReplayRate)
	}
	return nil
}

func (f *Filter) check() (ledger.Filter, error) {
	out := ledger.Filter{
		Reason: f.Reason, Source: f.Source, Tenant: f.Tenant, Sender: f.Sender, Recipient: f.Recipient,
		Destination: f.Destination, Since: f.Since, Until: f.Until, Query: f.Query, Emails: f.Emails,
	}

	for name, value := range map[string]string{
		"source": f.Source, "tenant": f.Tenant, "sender": f.Sender, "recipient": f.Recipient, "destination": f.Destination, "q": f.Query,
	} {
		if len(value) > maxText || !access.Plain(value) {
			return out, fault.Newf(fault.RequestInvalid, "filter.%s must be at most %d bytes of printable UTF-8", name, maxText)
		}
	}

	if f.State != "" {
		var known bool
		if out.State, known = contract.StateOf(string(f.State)); !known {
			return out, fault.Newf(fault.RequestInvalid, "filter.state must be one of %s", contract.StateWords())
		}
	}

	seen := map[int64]bool{}
	for _, e := range f.Emails {
		if e.Number < 1 || e.Version < 0 || seen[e.Number] {
			return out, fault.New(fault.RequestInvalid, "filter.emails must have numbers of emails, each once, with the versions that were looked at")
		}
		seen[e.Number] = true
	}

	switch {
	case len(f.Emails) > ledger.MaxLimit:
		return out, fault.Newf(fault.RequestInvalid, "filter.emails must have at most %d emails", ledger.MaxLimit)
	case f.Reason != "" && !slices.Contains(contract.Reasons, f.Reason):
		return out, fault.Newf(fault.RequestInvalid, "filter.reason must be one of %v", contract.Reasons)
	case !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until):
		return out, fault.New(fault.RequestInvalid, "filter.since must be before filter.until")
	}

	return out, nil
}
