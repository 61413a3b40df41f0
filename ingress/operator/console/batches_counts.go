package console

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// tally is how many emails there are of one kind.
type tally struct {
	What  string
	Count int64
}

// byCount lists counts, most first.
func byCount[K ~string](counts map[K]int64) []tally {
	var out []tally
	for code, n := range counts {
		out = append(out, tally{string(code), n})
	}
	slices.SortFunc(out, func(a, b tally) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.What, b.What)) })
	return out
}

// byState lists counts by the word of the state.
func byState(counts map[contract.State]int64) []tally {
	var out []tally
	for _, s := range contract.States {
		if n := counts[s]; n > 0 {
			out = append(out, tally{s.Word(), n})
		}
	}
	return out
}

// byReason lists counts of held emails.
func byReason(counts map[contract.Reason]int64) []tally {
	var out []tally
	for _, r := range contract.Reasons {
		if n := counts[r]; n > 0 {
			out = append(out, tally{string(r), n})
		}
	}
	return out
}

// byName lists counts by name.
func byName(counts map[string]int64) []tally {
	var out []tally
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, tally{name, counts[name]})
	}
	return out
}

// effectOf says in lines what would happen to one email of a dry run.
func effectOf(s ledger.ReplaySample) string {
	lines := []string{strings.ReplaceAll(string(s.Would), "_", " ")}
	if s.Error != "" {
		lines = append(lines, s.Error)
	}
	for _, c := range s.Changes {
		lines = append(lines, c.Field+": "+cmp.Or(c.Before, "nothing")+" → "+cmp.Or(c.After, "nothing"))
	}
	return strings.Join(lines, "\n")
}

// itemID returns the id by which the email of an item is found.
func itemID(i ledger.ReplayItem) string {
	if i.Code == ledger.ItemDuplicate {
		return i.WorkflowID
	}
	return i.EventID
}

// itemDetail says what happened to the email of an item.
func itemDetail(i ledger.ReplayItem) string {
	return cmp.Or(i.Detail, strings.ReplaceAll(string(i.Code), "_", " "))
}
