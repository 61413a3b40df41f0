package contract

import (
	"cmp"
	"slices"
)

// IntentInput asks what an intent says: a decision that one of our own programs
// wrote down, under an authenticated name, before it sent the update.
type IntentInput struct {
	Email  Email `json:"email"`
	Intent int64 `json:"intent"`
}

// IntentResult is a decision as it was written down, but for its note, which goes
// from the intent's row to the decision's without a way through Temporal.
type IntentResult struct {
	Action Action `json:"action"`
	Actor  string `json:"actor"`
	// Person is the owner of the token that Actor is the name of; empty: Actor.
	Person string `json:"person,omitempty"`
	Via    Via    `json:"via"`
	EditID int64  `json:"edit_id,omitempty"`
	From   Step   `json:"from,omitempty"`
	// Replay processes the email once more instead of merely retrying what holds it: what
	// was delivered already is compared again.
	Replay *Replayed `json:"replay,omitempty"`
	// Only is the one reason that a decision about many emails approves; empty: all that
	// hold the email. People chose the emails by it, and have seen no other.
	Only Reason `json:"only,omitempty"`
	// State is the one in which the sender has seen the email, quarantined or retrying;
	// empty: any. The decision is not about another one.
	State State `json:"state,omitempty"`
	// Taken reports that the ledger has the decision already: a repeat is answered
	// and not carried out again.
	Taken bool `json:"taken,omitempty"`
}

// What becomes of a hold at its deadline.
const (
	AtDeadlineKeep    = "keep" // stays held, and stands out
	AtDeadlineDiscard = "discard"
	AtDeadlineRelease = "release" // continues as if approved
)

// HoldInput asks how long an email may be held for these reasons, and how many
// people it takes to approve.
type HoldInput struct {
	Email   Email    `json:"email"`
	Reasons []Reason `json:"reasons"`
}

// HoldPlan is what the configuration says of a hold that begins now. The times
// count from its begin.
type HoldPlan struct {
	RemindSeconds   int64 `json:"remind_seconds"`
	EscalateSeconds int64 `json:"escalate_seconds"`
	// RepeatSeconds is the time from the escalation to the next reminder, and from
	// each to the next.
	RepeatSeconds int64 `json:"repeat_seconds"`
	// DeadlineSeconds is when AtDeadline is carried out; zero means never.
	DeadlineSeconds int64  `json:"deadline_seconds,omitempty"`
	AtDeadline      string `json:"at_deadline,omitempty"`
	// Approvals is how many people have to approve, at least one.
	Approvals int `json:"approvals"`
	// Notify reports that reminders go to a destination as well.
	Notify bool `json:"notify,omitempty"`
}

// How much attention a held email asks for, 0 for none: the level of a reminder, and
// emails.attention in the ledger.
const (
	AttentionReminded  = 1
	AttentionEscalated = 2
)

// ReasonsOf returns each reason of holds once, in their order; never nil.
func ReasonsOf(holds []Hold) []Reason {
	out := make([]Reason, 0, len(holds))
	for _, h := range holds {
		if !slices.Contains(out, h.Reason) {
			out = append(out, h.Reason)
		}
	}
	return out
}

// RemindInput reminds people of a hold that has lasted. Remind and Notify are idempotent on
// Email.ID, SinceUnixMilli and Number.
type RemindInput struct {
	Email  Email  `json:"email"`
	Holds  []Hold `json:"holds"`
	Step   string `json:"step"`
	Level  int    `json:"level"`
	Number int    `json:"number"` // of the reminders of this hold, from 1
	// Deadline is set on the reminder of a deadline that has passed and left the email
	// where it is.
	Deadline bool `json:"deadline,omitempty"`
	// Sequence is that of the latest change of state: a reminder that comes late
	// must not mark an email that has gone on.
	Sequence       int64 `json:"sequence"`
	SinceUnixMilli int64 `json:"since_unix_milli"`
	AtUnixMilli    int64 `json:"at_unix_milli"`
	// DeadlineUnixMilli is when AtDeadline is carried out; zero means never.
	DeadlineUnixMilli int64  `json:"deadline_unix_milli,omitempty"`
	AtDeadline        string `json:"at_deadline,omitempty"`
}

// Decided is the last decision about an email, for the sender of a second one. A note is
// not in it.
type Decided struct {
	Action      Action `json:"action"`
	Actor       string `json:"actor"`
	Via         Via    `json:"via"`
	AtUnixMilli int64  `json:"at_unix_milli"`
	Intent      int64  `json:"intent,omitempty"`
}

// Resumed is a hold that continues in a new run with a short history: all that the
// run before it knew. The new run begins inside the hold and runs no step for it.
type Resumed struct {
	Step       Step              `json:"step"`
	Held       []ResumedHold     `json:"held"`
	Waived     []Reason          `json:"waived,omitempty"`
	Routes     []string          `json:"routes,omitempty"`
	Inspected  Inspected         `json:"inspected,omitzero"`
	Routed     Routed            `json:"routed,omitzero"`
	Deliveries []ResumedDelivery `json:"legs,omitempty"`
	Budgets    Budgets           `json:"budgets,omitzero"`
	Decisions  int               `json:"decisions,omitempty"`
	// Reviewed are the reasons that the last decision was about.
	Reviewed []Reason `json:"reviewed,omitempty"`
	Last     *Decided `json:"last,omitempty"`
	// Sequence is that of the last change of state in the ledger, which has them all.
	Sequence int64 `json:"sequence"`
	// Resend reports that what was delivered is compared again once the email was routed.
	Resend bool `json:"resend,omitempty"`
	// Trouble says why the last signal had no effect, for people to read.
	Trouble string `json:"trouble,omitempty"`
	// Findings are those of the steps so far, and Pending those that an earlier run
	// left open and whose step has not been run yet.
	Findings []Finding `json:"findings,omitempty"`
	Pending  []Finding `json:"pending,omitempty"`
	// Asked is the hold that a person asked for while the email waited.
	Asked *Hold `json:"asked,omitempty"`
	// Unknown are the signals that the workflow did not know.
	Unknown []UnknownSignal `json:"unknown_signals,omitempty"`
}

// ResumedHold is one step, or one delivery, that waits for a person.
type ResumedHold struct {
	Destination    string   `json:"destination,omitempty"` // of a delivery
	Holds          []Hold   `json:"holds"`
	SinceUnixMilli int64    `json:"since_unix_milli"`
	Plan           HoldPlan `json:"plan"`
	Reminders      int      `json:"reminders,omitempty"` // how many there were
	Level          int      `json:"level,omitempty"`     // of the last of them
	// Due reports that the deadline has passed.
	Due bool `json:"due,omitempty"`
	// Asked reports that a person asked for the hold while the email waited.
	Asked bool `json:"asked,omitempty"`
	// Approvals are those given so far.
	Approvals []Approval `json:"approvals,omitempty"`
}

// Approval is one of several that a hold needs. One that is not verified is kept and
// does not count where more than one is needed.
type Approval struct {
	Actor    string `json:"actor"`
	Verified bool   `json:"verified"`
	// Person is the owner of the token that the approval came with; empty: Actor.
	Person string `json:"person,omitempty"`
}

// PersonName returns the person behind a verified approval, by which two are told apart.
func (a Approval) PersonName() string {
	return PersonOf(cmp.Or(a.Person, a.Actor))
}

// ResumedDelivery is one delivery of an email.
type ResumedDelivery struct {
	Destination string `json:"destination"`
	Done        bool   `json:"done,omitempty"`
	Attempts    int    `json:"attempts,omitempty"`
	Again       bool   `json:"again,omitempty"`
	Now         bool   `json:"now,omitempty"`
	Durable     bool   `json:"durable,omitempty"` // never tried fast
}
