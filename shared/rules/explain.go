package rules

import (
	"strings"

	"mailroom/shared/contract"
)

// Explanation is the routing of a mail with its reasons. Its lists are never nil.
type Explanation struct {
	// Tenant and Source are those that the mail was matched with.
	Tenant       string          `json:"tenant"`
	Source       string          `json:"source"`
	Routes       []string        `json:"routes"`
	Destinations []string        `json:"destinations"`
	Holds        []contract.Hold `json:"holds"`
	Rules        []RuleVerdict   `json:"rules"` // every rule, in the order of the configuration
	// Foreign are the recipients outside the tenant's domains, which no rule matches.
	Foreign []string `json:"foreign_recipients"`
	// Unmatched are the recipients that no rule takes while one takes another.
	Unmatched []string `json:"unmatched_recipients"`
	// Recipients are those that the rules were matched with, without duplicates.
	Recipients []Recipient `json:"recipients"`
}

// Recipient is an address as the rules read it. Mailbox is the address without the tag
// of its sub-address; Tag is empty if it has none.
type Recipient struct {
	Mailbox string `json:"mailbox"`
	Tag     string `json:"tag"`
}

// RuleVerdict is the outcome of one rule. Why names the first condition that is not
// met, or the effect of the rule if all are.
type RuleVerdict struct {
	Name    string `json:"name"`
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
}

// Explain is Decide for a person: the same result, with the outcome of each rule. Why
// quotes the configuration and never the mail.
func (r *Rules) Explain(f Facts) Explanation {
	said, met := r.Decide(f), r.Match(f)
	out := Explanation{
		Tenant: f.Tenant, Source: f.Source,
		Routes: append([]string{}, said.Routes...), Destinations: append([]string{}, said.Destinations...),
		Holds: append([]contract.Hold{}, said.Holds...), Rules: make([]RuleVerdict, 0, len(r.routes)),
		Foreign:   append([]string{}, r.domains[f.Tenant].Foreign(f.Recipients)...),
		Unmatched: append([]string{}, r.unmatched(f, met)...),
	}

	own := r.own(f)
	out.Recipients = make([]Recipient, len(own))
	for i, a := range own {
		out.Recipients[i] = Recipient{Mailbox: a.Mailbox(), Tag: a.Tag}
	}

	for _, rt := range r.routes {
		v := RuleVerdict{Name: rt.name, Why: rt.unmet(f, own, r.ownCase[f.Tenant])}
		to := r.served(rt.to, f.Tenant)
		switch {
		case met.Foreign:
			v.Why = "not asked: no recipient belongs to a domain of the tenant"
		case v.Why != "":
		case len(to) == 0:
			v.Why = "none of its destinations serves the tenant"
		case rt.hold:
			v.Matched, v.Why = true, "every condition holds: a person decides whether it goes to "+strings.Join(to, ", ")
		default:
			v.Matched, v.Why = true, "every condition holds: it goes to "+strings.Join(to, ", ")
		}
		out.Rules = append(out.Rules, v)
	}

	return out
}
