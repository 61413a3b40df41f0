// Package contract is what crosses Temporal and what the outside relies on: the
// names of workflows, signals, updates, queries and search attributes, the task
// queue, inputs and results, states and reasons.
//
// Invariants: fields are added, never renamed or retyped, because histories
// outlive releases; nothing here contains mail content, an address or a subject, but
// Sealed.
package contract

import (
	"encoding/hex"
	"fmt"

	"mailroom/shared/mail"
)

// TaskQueue is where the workers poll for everything an email needs.
const TaskQueue = "mailroom"

// InboundEmailWorkflow is the registered name of the workflow that processes one email.
const InboundEmailWorkflow = "InboundEmail"

// Handlers of InboundEmail. The signals take a Decision without an action, whose
// fields are all optional; the update takes a whole Decision and answers with
// DecisionResult; the query answers with Status.
const (
	SignalApprove = "approve"
	SignalDiscard = "discard"
	SignalRetry   = "retry"
	SignalEdit    = "edit"
	SignalHold    = "hold"
	UpdateDecide  = "decide"
	QueryStatus   = "status"
)

// Signals lists the signals of InboundEmail.
var Signals = []string{SignalApprove, SignalRetry, SignalDiscard, SignalEdit, SignalHold}

// Search attributes of InboundEmail. All are keywords, MailDestinations is a
// list of keywords. None contains an address or a subject.
const (
	AttrState        = "MailState"
	AttrReason       = "MailReason"
	AttrTenant       = "MailTenant"
	AttrSource       = "MailSource"
	AttrRoute        = "MailRoute"
	AttrDestinations = "MailDestinations"
)

// SearchAttributes lists them once.
var SearchAttributes = []string{AttrState, AttrReason, AttrTenant, AttrSource, AttrRoute, AttrDestinations}

// Email is the key under which every step finds its mail, and what each log line about it
// contains. ID is the ledger row; no mail content is in here.
type Email struct {
	ID            int64  `json:"id"`
	WorkflowID    string `json:"workflow_id"`
	Source        string `json:"source"`
	EventID       string `json:"event_id"`
	Tenant        string `json:"tenant"`
	CorrelationID string `json:"correlation_id"`
	// Size is the length of the raw body in bytes. Mail above LargeMail is not
	// tried fast and heartbeats.
	Size int64 `json:"size"`
}

// LargeMail is the size in bytes above which the first attempt of a step is a regular
// activity.
const LargeMail = 1 << 20

// InboundEmailInput starts the workflow of one email.
type InboundEmailInput struct {
	Email Email `json:"email"`
	// ReceivedAtUnixMilli is when the ingress had read the whole body.
	ReceivedAtUnixMilli int64 `json:"received_at_unix_milli"`
	// Hold is set where the ingress already knows that a person must look first.
	Hold *Hold `json:"hold,omitempty"`
	// Fallback is set where the database was unavailable when the email came: the event
	// itself in place of the key of its row. Email.ID is 0 then, and the row is
	// written before anything else is done.
	Fallback *FallbackEvent `json:"carried,omitempty"`
	// Resumed is set in a run that continues a long hold.
	Resumed *Resumed `json:"resumed,omitempty"`
	// Replay is set where the email has come to an end before and is processed once more.
	Replay *Replayed `json:"replay,omitempty"`
}

// FallbackEvent is a whole event. It has a Body, or a BodyKey that names it in the raw bucket.
type FallbackEvent struct {
	BodySHA256 Digest  `json:"body_sha256"`
	Body       *Sealed `json:"body,omitempty"`
	BodyKey    string  `json:"body_key,omitempty"`
	// Verified is what the ingress found.
	Verified Verified `json:"verified,omitzero"`
}

// Digest is a SHA-256; histories show it in hex.
type Digest [32]byte

// MarshalText returns lower-case hex.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads hex of either case.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("a SHA-256 has %d hex digits, not %d", hex.EncodedLen(len(d)), len(text))
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return fmt.Errorf("read SHA-256: %w", err)
	}
	return nil
}

// Sealed is content that goes through Temporal: compressed, then encrypted under the key
// of that id. Without a KeyID it is only compressed.
type Sealed struct {
	KeyID string `json:"key_id,omitempty"`
	Data  []byte `json:"data"`
}

// MaxFallbackBody is the longest body in bytes that the input of a workflow may contain.
const MaxFallbackBody = 1 << 20

// MemoBodySHA256 is the memo of InboundEmail that holds the hex SHA-256 of the
// body: what tells a repeat from another event under the same id while the database is
// unavailable.
const MemoBodySHA256 = "body_sha256"

// BackfillInput asks for the ledger row of an email that Temporal accepted. Backfill is
// idempotent on Email.WorkflowID and Fallback.BodySHA256.
type BackfillInput struct {
	Email               Email         `json:"email"`
	ReceivedAtUnixMilli int64         `json:"received_at_unix_milli"`
	Hold                *Hold         `json:"hold,omitempty"`
	Fallback            FallbackEvent `json:"carried"`
	// TakeEventID lets an email under ConflictWorkflowID have the event id, because the
	// one that took it has not come to the ledger for a long time.
	TakeEventID bool `json:"first,omitempty"`
	// Discarded is set once a person gave up an email whose content cannot be
	// read: its row is written without a body, so that no copy comes again.
	Discarded bool `json:"discarded,omitempty"`
}

// BackfillResult says which row the workflow processes from now on. With Duplicate another
// workflow processes the email, or has done so, and this one has nothing left to do. With
// FirstMissing nothing is decided: the email that took the event id is not in the ledger
// yet.
type BackfillResult struct {
	Email               Email `json:"email"`
	ReceivedAtUnixMilli int64 `json:"received_at_unix_milli,omitempty"`
	Hold                *Hold `json:"hold,omitempty"`
	// State is what the ledger says of the row.
	State        State `json:"state,omitempty"`
	Duplicate    bool  `json:"elsewhere,omitempty"`
	FirstMissing bool  `json:"early,omitempty"`
	// OtherBody reports that the row came with another body than the workflow.
	OtherBody bool `json:"other_body,omitempty"`
}

// InboundEmailResult is how the workflow of one email ended.
type InboundEmailResult struct {
	State        State    `json:"state"`
	Destinations []string `json:"destinations,omitempty"`
	Decisions    int      `json:"decisions,omitempty"`
}

// Hold is why an email must not go on by itself. Detail is one sentence for the
// operator, free of mail content.
type Hold struct {
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
}

// Status answers the query status: a snapshot that holds no mail content.
type Status struct {
	State      State            `json:"state"`
	Step       string           `json:"step"`
	Holds      []Hold           `json:"holds,omitempty"`
	Reason     Reason           `json:"reason,omitempty"`
	Detail     string           `json:"detail,omitempty"`
	Deliveries []DeliveryStatus `json:"legs,omitempty"`
	// HeldSinceUnixMilli is when the oldest of Holds began.
	HeldSinceUnixMilli int64 `json:"held_since_unix_milli,omitempty"`
	// Approvals are those given so far, Missing how many more people it takes.
	Approvals []Approval `json:"approvals,omitempty"`
	Missing   int        `json:"missing,omitempty"`
	// NextReminderUnixMilli is when people are reminded next.
	NextReminderUnixMilli int64 `json:"next_reminder_unix_milli,omitempty"`
	// Last is the last decision.
	Last *Decided `json:"last,omitempty"`
	// Trouble says why the last signal had no effect.
	Trouble string `json:"trouble,omitempty"`
}

// DeliveryStatus is one delivery of an email inside its workflow.
type DeliveryStatus struct {
	Destination string `json:"destination"`
	Done        bool   `json:"done"`
	Attempts    int    `json:"attempts"`
}

// StoreInput and the types below are the inputs and results of the activities.
// Store is idempotent on Email.ID: a repeat writes the same objects and rows.
type StoreInput struct {
	Email Email `json:"email"`
}

// StoreResult is the manifest in numbers; the manifest itself is in the ledger.
type StoreResult struct {
	Attachments int `json:"attachments"`
	// Holds lists what a person must look at; empty when the mail may go on.
	Holds []Hold `json:"holds,omitempty"`
	// Budgets are the worker's settings at that moment.
	Budgets Budgets `json:"budgets,omitzero"`
}

// Budgets bound how long a step may wait for an unavailable dependency before the email is
// held. Zero means the default of the workflow, 24 hours.
type Budgets struct {
	ScanSeconds    int64 `json:"scan_seconds,omitempty"`
	DeliverSeconds int64 `json:"deliver_seconds,omitempty"`
}

// InspectInput asks for a verdict on every attachment. Inspect is idempotent on Email.ID.
type InspectInput struct {
	Email Email `json:"email"`
}

// InspectResult counts the verdicts.
type InspectResult struct {
	Verdicts map[mail.Verdict]int `json:"verdicts,omitempty"`
	Holds    []Hold               `json:"holds,omitempty"`
	// Inspected goes to the ledger with the next change of state.
	Inspected Inspected `json:"inspected,omitzero"`
}

// RouteInput asks where the mail goes. Route reads and writes nothing but its ledger row.
type RouteInput struct {
	Email Email `json:"email"`
	// AnyRecipient is set once a person has waived recipient_foreign: then
	// recipients outside the tenant's domains are routed as well.
	AnyRecipient bool `json:"any_recipient,omitempty"`
}

// RouteResult names the rules that matched and their destinations, both
// without repeats and in the order of the configuration.
type RouteResult struct {
	Routes       []string `json:"routes,omitempty"`
	Destinations []string `json:"destinations,omitempty"`
	// Durable names those of Destinations that are never tried fast: they honour
	// no idempotency key, so an attempt must not be cut short.
	Durable []string `json:"durable,omitempty"`
	Holds   []Hold   `json:"holds,omitempty"`
	// Routed goes to the ledger with the next change of state.
	Routed Routed `json:"routed,omitzero"`
}

// DeliverInput asks for one delivery. Deliver is idempotent on Email, Destination
// and Replay; every attempt has IdempotencyKey(Email.WorkflowID, Destination),
// or with NewEffect the EffectKey of the replay.
type DeliverInput struct {
	Email       Email  `json:"email"`
	Destination string `json:"destination"`
	// Again is set when a person asked for another attempt at a delivery that was rejected
	// or whose effect is unknown.
	Again bool `json:"again,omitempty"`
	// Now is set when a person asked for the attempt before it is due. Unlike Again it
	// repeats no call whose effect is unknown.
	Now bool `json:"now,omitempty"`
	// Released is set when a person let content go that inspection had held.
	Released bool `json:"released,omitempty"`
	// Replay is the replay that asks for it, 0 for none. A delivery that is done
	// is sent again only where its content has changed, or with NewEffect.
	Replay    int64 `json:"replay,omitempty"`
	NewEffect bool  `json:"new_effect,omitempty"`
	// Inspected is Inspected.Content of the inspection that the workflow knows of.
	// Deliver sends nothing but exactly that.
	Inspected string `json:"inspected,omitempty"`
}

// NotFast is the type of the error with which a fast attempt answers that it has
// done nothing, and that a regular activity has to make the attempt, at once.
const NotFast = "not_fast"

// NeverFast is NotFast for this and all later steps of the run: the workflow's task has
// failed so often that a step of it may be what ends the workers.
const NeverFast = "never_fast"

// DeliverResult is the answer that counted as success. Skipped says that nothing
// was sent: the destination has had the same before, or must not be called twice.
type DeliverResult struct {
	Status   int  `json:"status"`
	Attempts int  `json:"attempts"`
	Skipped  bool `json:"skipped,omitempty"`
}

// RecordResult answers a RecordInput. There is none where the ledger took the change.
type RecordResult struct {
	// OverruledBy is the number of the change of state that the ledger keeps in place of
	// this one, 0 where it took it. Only the current run of a
	// workflow reads this: it writes its change again under a later number.
	OverruledBy int64 `json:"overruled_by,omitempty"`
}

// RecordInput writes the state of an email to the ledger. Idempotent on Email.ID
// and Sequence: an older Sequence never overwrites a newer one.
type RecordInput struct {
	Email    Email  `json:"email"`
	Sequence int64  `json:"sequence"`
	State    State  `json:"state"`
	Reason   Reason `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"`
	// AtUnixMilli is the workflow's clock; it becomes closed_at of a terminal state.
	AtUnixMilli int64 `json:"at_unix_milli"`
	// ReceivedAtUnixMilli is that of the workflow's input, for the time from receipt to end.
	ReceivedAtUnixMilli int64 `json:"received_at_unix_milli"`
	// Routes are the rules that matched, once that is known; they stay as they are
	// in the ledger where this is empty.
	Routes []string `json:"routes,omitempty"`
	// Inspected and Routed are those of the last time, and stay as Routes do.
	Inspected Inspected `json:"inspected,omitzero"`
	Routed    Routed    `json:"routed,omitzero"`
	// Decision is set when a decision led to this change of state; it becomes a row of its
	// own, idempotent on Email.ID and Sequence.
	Decision *Decision `json:"decision,omitempty"`
	Before   State     `json:"before,omitempty"`
	// DecidedReason is why the email was held when the decision came.
	DecidedReason Reason `json:"decided_reason,omitempty"`
	// EditID is the edit that the decision laid over the email.
	EditID int64 `json:"edit_id,omitempty"`
	// Verified reports that the decision came through our own authentication, or
	// from our own configuration, and not from anyone who can reach Temporal.
	Verified bool `json:"verified,omitempty"`
	// Missing is how many more people have to approve before a held email goes on.
	Missing int `json:"missing,omitempty"`
	// Findings are those of the steps that have changed since the record before.
	Findings []Finding `json:"findings,omitempty"`
}
