package rules

import (
	"fmt"
	"strings"

	"mailroom/shared/contract"
)

// Explanation is what the rules say of a mail, and why. Its lists are never nil.
type Explanation struct {
	Routes       []string        `json:"routes"`
	Destinations []string        `json:"destinations"`
	Holds        []contract.Hold `json:"holds"`
	Rules        []RuleVerdict   `json:"rules"` // every rule, in the order of the configuration
}

// RuleVerdict is what one rule says. Why names the first condition that does not
// hold, or what holding all of them leads to.
type RuleVerdict struct {
	Name    string `json:"name"`
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
}

// Explain is Match and Route for a person: the same answer, rule by rule. Why
// quotes the configuration and never the mail.
func (r *Rules) Explain(f Facts) Explanation {
	met := r.Match(f)
	out := Explanation{
		Routes: append([]string{}, met.Routes...), Destinations: append([]string{}, met.Destinations...),
		Holds: append([]contract.Hold{}, holds(met)...), Rules: make([]RuleVerdict, 0, len(r.routes)),
	}
	f.Recipients = r.own(f)
	for _, rt := range r.routes {
		v := RuleVerdict{Name: rt.name, Why: rt.unmet(f)}
		switch {
		case met.Foreign:
			v.Why = "not asked: no recipient belongs to a domain of the tenant"
		case v.Why == "":
			v.Matched, v.Why = true, "every condition holds: it goes to "+strings.Join(rt.to, ", ")
			if rt.hold {
				v.Why = fmt.Sprintf("every condition holds: a person decides whether it goes to %s", strings.Join(rt.to, ", "))
			}
		}
		out.Rules = append(out.Rules, v)
	}
	return out
}
