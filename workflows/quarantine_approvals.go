package workflows

import (
	"slices"
	"strconv"
	"strings"

	"mailroom/shared/contract"
)

// notCounted says why an approval was recorded and does not count, and what to do.
const notCounted = "recorded, and it does not count: more than one person has to approve, and the name of its sender is only claimed; " +
	"approve in the console, with mailctl or through the API"

// approve counts an approval for everything that is held, and returns how many more
// people are missing.
func (s heldSteps) approve(r ruling) int {
	for _, h := range s {
		if !h.approvedBy(r) {
			h.approvals = append(h.approvals, contract.Approval{Actor: r.Actor, Person: r.person, Verified: r.verified})
		}
	}
	return s.missing()
}

// needsSeveral reports whether more than one person has to approve.
func (s heldSteps) needsSeveral() bool {
	return slices.ContainsFunc(s, func(h *heldStep) bool { return h.plan.Approvals > 1 })
}

// approvedBy reports whether an approval by this sender would change nothing.
func (s heldSteps) approvedBy(r ruling) bool {
	return !slices.ContainsFunc(s, func(h *heldStep) bool { return !h.approvedBy(r) })
}

// approvedBy compares by the verified person. All senders that are not verified count as
// one and the same person, whatever name they claim.
func (h *heldStep) approvedBy(r ruling) bool {
	by := contract.Approval{Actor: r.Actor, Person: r.person}
	return slices.ContainsFunc(h.approvals, func(a contract.Approval) bool {
		return a.Verified == r.verified && (!a.Verified || a.PersonName() == by.PersonName())
	})
}

// counted returns the approvals that count where more than one is needed: the verified
// ones.
func (h *heldStep) counted() []contract.Approval {
	return slices.DeleteFunc(slices.Clone(h.approvals), func(a contract.Approval) bool {
		return !a.Verified
	})
}

// missing returns how many more people have to approve, where one is not enough.
func (s heldSteps) missing() int {
	most := 0
	for _, h := range s {
		if h.plan.Approvals > 1 {
			most = max(most, h.plan.Approvals-len(h.counted()))
		}
	}
	return most
}

// morePeople puts a number of missing approvals into words.
func morePeople(n int) string {
	if n == 1 {
		return "one more person has"
	}
	return strconv.Itoa(n) + " more people have"
}

// approvedAlready says why an approval changes nothing.
func (s heldSteps) approvedAlready(r ruling) string {
	more := morePeople(s.missing()) + " to approve"
	if r.verified {
		name := r.Actor
		if r.person != "" && r.person != r.Actor {
			name = r.person + ", the owner of " + r.Actor + ","
		}
		return name + " has approved it already; " + more
	}
	return "an approval that came straight to Temporal is " + notCounted + "; " + more
}

// approvalsText says how far the approvals of a hold have come, for people; empty
// where one is enough.
func (h *heldStep) approvalsText() string {
	if h.plan.Approvals < 2 {
		return ""
	}
	var names []string
	for _, a := range h.counted() {
		names = append(names, a.Actor)
	}
	text := strconv.Itoa(len(names)) + " of " + strconv.Itoa(h.plan.Approvals) + " approved"
	if len(names) > 0 {
		text += " by " + strings.Join(names, " and ")
	}
	return text
}
