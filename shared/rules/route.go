package rules

import (
	"fmt"
	"strings"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Route is Decide for the route step. m and message are as they came: the edits in
// m.Overlay are laid over them here. message may be nil unless NeedsHeaders.
func (r *Rules) Route(in contract.RouteInput, m *ledger.Manifest, message *mail.Message) contract.RouteResult {
	f := FactsOf(in.Email, m, message)
	f.AnyRecipient = in.AnyRecipient
	return r.Decide(f)
}

// Decide is Match with its answer in the terms of the route step: no rule holds the
// mail as unroutable, a rule with hold as manual_hold, and only foreign recipients as
// recipient_foreign. The routes stand beside the hold, so that an approval can go on
// with them. Where an edit names the destinations, those of them that serve the
// tenant are the answer, under contract.RouteEdited; an edit waives no hold but that
// of mail that no rule takes: a rule with hold that the mail met before its edits holds
// it after them too. An edit that names a destination of other tenants only, or none
// that is configured, is held as unroutable.
func (r *Rules) Decide(f Facts) contract.RouteResult {
	met := r.Match(f)
	out := contract.RouteResult{Routes: met.Routes, Destinations: met.Destinations, Holds: holds(met)}
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

// heldBefore returns the rules with hold that a mail with edits met before them.
func (r *Rules) heldBefore(f Facts) []string {
	if f.Unedited == nil {
		return nil
	}
	before := *f.Unedited
	before.AnyRecipient = f.AnyRecipient
	return r.Match(before).Held
}

// edited is the answer where an edit names the destinations.
func (r *Rules) edited(f Facts, met Match, out contract.RouteResult) contract.RouteResult {
	out.Routes, out.Destinations = []string{contract.RouteEdited}, r.served(f.EditedTo, f.Tenant)
	if !met.Foreign && len(met.Routes) == 0 {
		out.Holds = nil
	}
	if len(out.Destinations) < len(f.EditedTo) {
		out.Holds = append(out.Holds, contract.Hold{
			Reason: contract.Unroutable, Detail: "the edit names a destination that does not serve this tenant",
		})
	}
	return out
}

// holds says why mail must not go on by itself.
func holds(met Match) []contract.Hold {
	switch {
	case met.Foreign:
		return []contract.Hold{{
			Reason: contract.RecipientForeign, Detail: "no recipient belongs to a domain of the tenant",
		}}
	case len(met.Routes) == 0:
		return []contract.Hold{{Reason: contract.Unroutable, Detail: "no route matches this email"}}
	case len(met.Held) > 0:
		return []contract.Hold{{
			Reason: contract.ManualHold,
			Detail: fmt.Sprintf("route %s holds its mail for a person", strings.Join(met.Held, ", ")),
		}}
	}
	return nil
}
