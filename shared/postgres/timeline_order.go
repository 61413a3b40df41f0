package postgres

import (
	"cmp"
	"slices"
	"time"

	"mailroom/shared/ledger"
)

// oneTask is how long a workflow may take for what it does in one go. Its clock
// stands still meanwhile, at the beginning, while those of its steps go on.
const oneTask = 5 * time.Second

// order puts a timeline in its order: by time, at the same time by kind, and each
// end after what led to it. An email is held, or closed, by the workflow's clock
// and inspected, or delivered, by a worker's, which may say that it was later.
func order(list []ledger.TimelineEntry) {
	slices.SortStableFunc(list, earlier)
	for i, e := range list {
		j := i
		if leads(e.Kind) {
			for j > 0 && ends(list[j-1].Kind) && e.At.Sub(list[j-1].At) <= oneTask {
				j--
			}
		}
		copy(list[j+1:i+1], list[j:i])
		list[j] = e
	}
}

// leads tells whether a kind leads to the end of a run; between an end and what
// comes after it there is a decision or a replay.
func leads(k ledger.TimelineKind) bool {
	return slices.Contains([]ledger.TimelineKind{
		ledger.TimeStored, ledger.TimeInspected, ledger.TimeRouted, ledger.TimeAttempt, ledger.TimeLeg,
	}, k)
}

func ends(k ledger.TimelineKind) bool { return k == ledger.TimeHeld || k == ledger.TimeClosed }

// earlier puts entries in their order. Several clocks wrote their times, and some
// of them count milliseconds: within one the kind decides.
func earlier(a, b ledger.TimelineEntry) int {
	if c := a.At.Truncate(time.Millisecond).Compare(b.At.Truncate(time.Millisecond)); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(slices.Index(ledger.TimelineKinds, a.Kind), slices.Index(ledger.TimelineKinds, b.Kind)),
		a.At.Compare(b.At), cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Title, b.Title))
}
