package rules

import (
	"fmt"
	"slices"
	"strings"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Route is Decide for the route step. m and message are without edits: Route applies
// m.Overlay. message may be nil unless NeedsHeaders.
func (r *Rules) Route(in contract.RouteInput, m *ledger.Manifest, message *mail.Message) contract.RouteResult {
	f := FactsOf(in.Email, m, message)
	f.AnyRecipient = in.AnyRecipient
	return r.Decide(f)
}

// Decide returns the result of Match in the terms of the route step. Mail that no rule
// matches is held as unroutable, mail that a rule with hold matches as manual_hold, mail
// with only foreign recipients as recipient_foreign, and under unmatched: hold mail with
// Match.Unmatched as recipient_unmatched. The result has the routes together with the
// hold, so that an approval can continue with them.
//
// If an edit names destinations, the result has those of them that serve the tenant,
// under contract.RouteEdited. Such an edit waives only the holds unroutable and
// recipient_unmatched: a rule with hold that matched the mail before its edits still
// holds it. An edit whose
// destinations are all of other tenants or not configured is held as unroutable.
func (r *Rules) Decide(f Facts) contract.RouteResult {
	met := r.Match(f)
	out := contract.RouteResult{Routes: met.Routes, Destinations: met.Destinations, Holds: r.holds(met)}
	if len(f.EditedTo) > 0 {
		out = r.edited(f, met, out)
	}
	if held := r.heldBefore(f); len(held) > 0 && len(met.Held) == 0 {
		out.Holds = append(out.Holds, contract.Hold{
			Reason: contract.ManualHold,
			Detail: fmt.Sprintf("route %s holds its mail for a person, and an edit does not let it go", strings.Join(held, ", ")),
		})
	}
	return out
}

// heldBefore returns the rules with hold that matched a mail before its edits.
func (r *Rules) heldBefore(f Facts) []string {
	if f.Unedited == nil {
		return nil
	}
	before := *f.Unedited
	before.AnyRecipient = f.AnyRecipient
	return r.Match(before).Held
}

// edited returns the result if an edit names the destinations.
func (r *Rules) edited(f Facts, met Match, out contract.RouteResult) contract.RouteResult {
	out.Routes, out.Destinations = []string{contract.RouteEdited}, r.served(f.EditedTo, f.Tenant)
	if !met.Foreign && len(met.Routes) == 0 {
		out.Holds = nil
	}
	out.Holds = slices.DeleteFunc(out.Holds, func(h contract.Hold) bool { return h.Reason == contract.RecipientUnmatched })
	if len(out.Destinations) < len(f.EditedTo) {
		out.Holds = append(out.Holds, contract.Hold{
			Reason: contract.Unroutable, Detail: "the edit names a destination that does not serve this tenant",
		})
	}
	return out
}

// holds returns the holds that follow from a match.
func (r *Rules) holds(met Match) []contract.Hold {
	var out []contract.Hold
	switch {
	case met.Foreign:
		return []contract.Hold{{
			Reason: contract.RecipientForeign, Detail: "no recipient belongs to a domain of the tenant",
		}}
	case len(met.Routes) == 0:
		return []contract.Hold{{Reason: contract.Unroutable, Detail: "no route matches this email"}}
	case len(met.Held) > 0:
		out = append(out, contract.Hold{
			Reason: contract.ManualHold,
			Detail: fmt.Sprintf("route %s holds its mail for a person", strings.Join(met.Held, ", ")),
		})
	}

	if n := len(met.Unmatched); n > 0 && r.holdUnmatched {
		detail := "no route takes one of the recipients"
		if n > 1 {
			detail = fmt.Sprintf("no route takes %d of the recipients", n)
		}
		out = append(out, contract.Hold{Reason: contract.RecipientUnmatched, Detail: detail})
	}
	return out
}
