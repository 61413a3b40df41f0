package workflows

import (
	"slices"
	"strconv"
	"strings"

	"mailroom/shared/contract"
)

// approve counts an approval for everything that is held, and gives how many more
// people are missing.
func (e *inboundEmail) approve(r ruling) int {
	for _, h := range e.held {
		if !h.approvedBy(r) {
			h.approvals = append(h.approvals, contract.Approval{Actor: r.Actor, Verified: r.verified})
		}
	}
	return e.missing()
}

// approvedBy reports whether somebody's approval would change nothing.
func (e *inboundEmail) approvedBy(r ruling) bool {
	return !slices.ContainsFunc(e.held, func(h *held) bool { return !h.approvedBy(r) })
}

// approvedBy compares by the verified name. Everybody who is not verified counts as
// one and the same person, whatever name they claim.
func (h *held) approvedBy(r ruling) bool {
	return slices.ContainsFunc(h.approvals, func(a contract.Approval) bool {
		return a.Verified == r.verified && (!a.Verified || a.Actor == r.Actor)
	})
}

// needed is how many people have to approve.
func (h *held) needed() int {
	if h.plan == nil {
		return 1
	}
	return max(h.plan.Approvals, 1)
}

// missing is how many more people have to approve, where one is not enough.
func (e *inboundEmail) missing() int {
	most := 0
	for _, h := range e.held {
		if h.needed() > 1 {
			most = max(most, h.needed()-len(h.approvals))
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

// approvalsText says how far the approvals of a hold have come, for people; empty
// where one is enough.
func (h *held) approvalsText() string {
	if h.needed() < 2 {
		return ""
	}
	text := strconv.Itoa(len(h.approvals)) + " of " + strconv.Itoa(h.needed()) + " approved"
	names := make([]string, 0, len(h.approvals))
	for _, a := range h.approvals {
		names = append(names, a.Actor)
	}
	if len(names) > 0 {
		text += " by " + strings.Join(names, " and ")
	}
	return text
}
