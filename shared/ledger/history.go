package ledger

import (
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/mail"
)

// History is what the ledger has recorded of one email, in no order. Mailroom's
// timeline is made of it.
type History struct {
	Email      EmailHistory
	Verdicts   []VerdictCount
	Steps      []PastStep
	Attempts   []AttemptRow
	Ends       []DeliveryEnd
	States     []StateChange
	Decisions  []DecisionMade
	Reminders  []ReminderSent
	Edits      []EditMade
	BatchItems []BatchPart
	Signals    []UnknownSignals
}

// EmailHistory is what the row of an email records of its steps. The times of steps
// that have not ended are nil.
type EmailHistory struct {
	Size            int64
	SHA256          string // of the raw body, hex
	ReceivedAt      time.Time
	VerifiedScheme  string // empty: from before it was recorded
	VerifiedKey     int    // 0: the source does not verify
	VerifiedRef     string
	Parser          string
	StoredAt        *time.Time
	Scanner         string
	ScannerDatabase string
	RawView         contract.RawView
	InspectedAt     *time.Time
	Routes          []string
	RulesVersion    string
	RoutedAt        *time.Time
	State           contract.State
	ClosedAt        *time.Time
	Unmatched       []string // the recipients that no rule took when one took another
}

// VerdictCount is how many attachments have a verdict, which is empty before inspection.
type VerdictCount struct {
	Verdict mail.Verdict
	Count   int
}

// PastStep is a run of a step that a later one has replaced.
type PastStep struct {
	Step         TimelineKind // stored, inspected or routed
	At           time.Time
	Tool         string // the parser, the scanner, or the version of the rules
	ToolDatabase string // of the scanner
	RawView      contract.RawView
	Routes       []string
}

// AttemptRow is one call of a destination. Status is 0 without an answer.
type AttemptRow struct {
	Destination string
	Effect      string
	Number      int
	At          time.Time
	TookMS      int64
	Status      int
	Code        string
}

// DeliveryEnd is a delivery that was delivered, rejected or left ambiguous.
type DeliveryEnd struct {
	Destination string
	State       DeliveryState
	Attempts    int
	LastError   string
	At          time.Time
}

// StateChange is a state that an email entered.
type StateChange struct {
	At     time.Time
	State  contract.State
	Reason contract.Reason
	Detail string
}

// DecisionMade is a decision and the reason that the email was held for.
type DecisionMade struct {
	At     time.Time
	Action contract.Action
	Actor  string
	Via    string
	Note   string
	Reason contract.Reason
}

// ReminderSent is one notice about an email that is held for long.
type ReminderSent struct {
	At       time.Time
	Level    int
	Number   int
	Deadline bool // the deadline of the hold has passed
	Since    time.Time
	Reasons  []string
}

// EditMade is an edit that was asked for, and whether it was applied.
type EditMade struct {
	At      time.Time
	Actor   string
	Applied bool
	Fields  []string
}

// BatchPart is what a batch did with the email.
type BatchPart struct {
	At        time.Time
	ReplayID  int64
	Actor     string
	Via       string
	Action    contract.Action
	FromStep  contract.Step
	NewEffect bool
	State     ReplayItemState
	Code      ReplayCode
}

// UnknownSignals are the signals with one name that the email's workflow did not know.
type UnknownSignals struct {
	Name   string // empty: all further names
	Count  int64
	At     time.Time // of the first
	LastAt time.Time
}
