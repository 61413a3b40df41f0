// Package timeline turns what the ledger has recorded of an email into the entries
// that operators read: a title, a detail and a time each, oldest first.
//
// Invariants: no entry has mail content, only the note of a person is shown as it is; times
// never descend, and an entry comes after its cause; an entry that was there stays.
package timeline

import (
	"context"

	"mailroom/shared/ledger"
)

// Ledger reads what happened to an email.
type Ledger interface {
	// History returns all that is recorded; an unknown email is fault.NotFound.
	History(ctx context.Context, emailID int64) (*ledger.History, error)
}

// Timelines reads the timelines of emails.
type Timelines struct {
	ledger Ledger
}

// New returns the timelines of a ledger's emails.
func New(l Ledger) Timelines { return Timelines{ledger: l} }

// Timeline returns what happened to an email, oldest first. An email that the ledger
// does not know is fault.NotFound.
func (t Timelines) Timeline(ctx context.Context, emailID int64) ([]ledger.TimelineEntry, error) {
	h, err := t.ledger.History(ctx, emailID)
	if err != nil {
		return nil, err
	}
	return Entries(h), nil
}

// Entries describes each part of a history, oldest first.
func Entries(h *ledger.History) []ledger.TimelineEntry {
	var out []ledger.TimelineEntry
	out = appendEntries(out, h.Steps, pastEntry)
	out = appendEntries(out, h.Attempts, attemptEntry)
	out = appendEntries(out, h.Ends, deliveryEntry)
	out = appendEntries(out, h.States, stateEntry)
	out = appendEntries(out, h.Decisions, decisionEntry)
	out = appendEntries(out, h.Reminders, reminderEntry)
	out = appendEntries(out, h.Edits, editEntry)
	out = appendEntries(out, h.BatchItems, batchEntry)
	out = appendEntries(out, h.Signals, signalEntry)
	out = append(out, stepEntries(h)...)

	sortEntries(out)
	return out
}

func appendEntries[T any](out []ledger.TimelineEntry, list []T, describe func(T) ledger.TimelineEntry) []ledger.TimelineEntry {
	for _, x := range list {
		out = append(out, describe(x))
	}
	return out
}
