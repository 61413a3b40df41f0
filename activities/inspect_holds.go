package activities

import (
	"cmp"
	"fmt"
	"slices"

	"mailroom/shared/contract"
)

// holds collects what to hold a mail for, one per reason: the first that came,
// and how many followed. Malware stands first, because the first is what a mail is
// listed under.
type holds struct {
	order []contract.Reason
	first map[contract.Reason]string
	more  map[contract.Reason]int
}

func (h *holds) add(reason contract.Reason, detail string) {
	if h.first == nil {
		h.first, h.more = map[contract.Reason]string{}, map[contract.Reason]int{}
	}
	if _, ok := h.first[reason]; ok {
		h.more[reason]++
		return
	}
	h.order = append(h.order, reason)
	h.first[reason] = detail
}

func (h *holds) has(reason contract.Reason) bool {
	_, ok := h.first[reason]
	return ok
}

func (h *holds) list() []contract.Hold {
	slices.SortStableFunc(h.order, func(a, b contract.Reason) int {
		return cmp.Compare(gravity(a), gravity(b))
	})

	out := make([]contract.Hold, 0, len(h.order))
	for _, reason := range h.order {
		detail := h.first[reason]
		if n := h.more[reason]; n > 0 {
			detail += fmt.Sprintf(" (and %d more)", n)
		}
		out = append(out, contract.Hold{Reason: reason, Detail: detail})
	}
	return out
}

// gravity orders reasons: the lower, the graver.
func gravity(r contract.Reason) int {
	if r == contract.Infected {
		return 0
	}
	return 1
}
