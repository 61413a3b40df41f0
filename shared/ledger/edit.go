package ledger

import (
	"time"

	"mailroom/shared/contract"
)

// Change is one thing that an edit makes different, for people. Field is the name
// of an edit's own field or of what it leads to, such as recipients,
// headers.Subject or attachments[1]; a value that is not there is empty.
type Change struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// NewEdit is an edit that is to be kept.
type NewEdit struct {
	EmailID int64
	Edit    contract.Edit
	Actor   string
	Note    string
	// Changes are what the edit makes different, as the email is now.
	Changes []Change
	// Key makes the writing of it idempotent within the email; empty: each is new.
	Key string
}

// EditRow is an edit as the ledger has it. Unset times are null in JSON.
type EditRow struct {
	ID    int64         `json:"id"`
	Edit  contract.Edit `json:"edit"`
	Actor string        `json:"actor"`
	Note  string        `json:"note"`
	At    time.Time     `json:"at"`
	// AppliedAt is when the decision that it came with was taken; until then, and
	// for ever where another decision won, it changes nothing.
	AppliedAt *time.Time `json:"applied_at"`
	// Changes are what it made different when it was made, never nil.
	Changes []Change `json:"changes"`
}

// Edited says that an email is read through edits.
type Edited struct {
	// By and At are those of the edit that was applied last.
	By string
	At time.Time
}
