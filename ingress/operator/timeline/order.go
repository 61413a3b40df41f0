package timeline

import (
	"cmp"
	"slices"
	"time"

	"mailroom/shared/ledger"
)

// oneTask bounds how long one workflow task takes. The workflow's clock stands still
// meanwhile, at the beginning of the task, while those of its steps go on.
const oneTask = 5 * time.Second

// sortEntries orders a timeline by time, then by kind, and puts each end after the
// entries that led to it: the workflow's clock says when an email was held or closed, a
// worker's clock says when it was inspected or delivered, and that one may be later.
func sortEntries(list []ledger.TimelineEntry) {
	slices.SortStableFunc(list, compareEntries)

	for i, e := range list {
		j := i
		if isCause(e.Kind) {
			for j > 0 && isEnd(list[j-1].Kind) && e.At.Sub(list[j-1].At) <= oneTask {
				j--
			}
		}
		copy(list[j+1:i+1], list[j:i])
		list[j] = e
	}
}

// isCause reports whether an entry of this kind leads to the end of a run. Between an
// end and the next cause there is a decision or a replay.
func isCause(k ledger.TimelineKind) bool {
	return slices.Contains([]ledger.TimelineKind{
		ledger.TimeStored, ledger.TimeInspected, ledger.TimeRouted, ledger.TimeAttempt, ledger.TimeDelivery,
	}, k)
}

func isEnd(k ledger.TimelineKind) bool { return k == ledger.TimeHeld || k == ledger.TimeClosed }

// compareEntries orders by time in milliseconds, the unit of the coarsest clock, then
// by kind.
func compareEntries(a, b ledger.TimelineEntry) int {
	if c := a.At.Truncate(time.Millisecond).Compare(b.At.Truncate(time.Millisecond)); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(slices.Index(ledger.TimelineKinds, a.Kind), slices.Index(ledger.TimelineKinds, b.Kind)),
		a.At.Compare(b.At), cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Title, b.Title))
}
