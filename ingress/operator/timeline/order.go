package timeline

import (
	"cmp"
	"slices"
	"time"

	"mailroom/shared/ledger"
)

// The workflow's clock says when an email began to wait, was held or closed. It may be
// behind the clock of the worker that made the step which led to it, by no more than this.
const (
	// oneTask bounds how long one workflow task takes. What comes after a hold or a close
	// has a decision or a replay before it, so any step in this time is a cause.
	oneTask = 5 * time.Second
	// oneWait is the shortest wait before the next attempt, which is no cause of the wait.
	oneWait = time.Second
)

// sortEntries orders a timeline by time, then by kind, and puts each wait and each end
// after the entries that led to it. Those then have at least the time of their cause.
func sortEntries(list []ledger.TimelineEntry) {
	slices.SortStableFunc(list, compareEntries)

	for i, e := range list {
		j := i
		if isCause(e.Kind) {
			for j > 0 && e.At.Sub(list[j-1].At) < lag(list[j-1].Kind) {
				j--
			}
		}
		copy(list[j+1:i+1], list[j:i])
		list[j] = e
	}

	for i := 1; i < len(list); i++ {
		if list[i].At.Before(list[i-1].At) {
			list[i].At = list[i-1].At
		}
	}
}

// isCause reports whether an entry of this kind leads to a wait or to the end of a run.
func isCause(k ledger.TimelineKind) bool {
	return slices.Contains([]ledger.TimelineKind{
		ledger.TimeStored, ledger.TimeInspected, ledger.TimeRouted, ledger.TimeAttempt, ledger.TimeDelivery,
	}, k)
}

// lag returns how much earlier than its cause an entry of this kind may have its time;
// zero if it is no consequence of a step.
func lag(k ledger.TimelineKind) time.Duration {
	switch k {
	case ledger.TimeHeld, ledger.TimeClosed:
		return oneTask
	case ledger.TimeWaiting:
		return oneWait
	default:
		return 0
	}
}

// compareEntries puts first how an email came, then orders by time in milliseconds, the
// unit of the coarsest clock, then by kind.
func compareEntries(a, b ledger.TimelineEntry) int {
	if c := cmp.Compare(arrival(a.Kind), arrival(b.Kind)); c != 0 {
		return c
	}
	if c := a.At.Truncate(time.Millisecond).Compare(b.At.Truncate(time.Millisecond)); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(slices.Index(ledger.TimelineKinds, a.Kind), slices.Index(ledger.TimelineKinds, b.Kind)),
		a.At.Compare(b.At), cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Title, b.Title))
}

// arrival is 0 for the entries before which there is nothing, 1 for all others.
func arrival(k ledger.TimelineKind) int {
	if k == ledger.TimeReceived || k == ledger.TimeVerified {
		return 0
	}
	return 1
}
