package ledger

import (
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/mail"
)

// Lookup names an email: by its Number alone, which is exact, or by EventID and, where
// it is not empty, Source. EventID is the event id, for the first email that came with
// it, or the workflow ID of one that came with the same id and another body.
type Lookup struct {
	Number          int64 // EmailRow.ID; 0: by EventID
	Source, EventID string
	// Tenants are those whose emails may be found; nil means all.
	Tenants []string
}

// Match is one of the emails that a Lookup means.
type Match struct {
	Number int64
	Source string
}

// What a list shows of the recipients of an email.
const (
	ListedRecipients = 20
	ListedAddress    = 320 // characters of each
)

// EmailRow is one email as a list shows it. Unset times are null in JSON.
type EmailRow struct {
	ID            int64           `json:"number"`
	EventID       string          `json:"event_id"`
	WorkflowID    string          `json:"workflow_id"`
	CorrelationID string          `json:"correlation_id"`
	Source        string          `json:"source"`
	Tenant        string          `json:"tenant"`
	State         contract.State  `json:"state"`
	Reason        contract.Reason `json:"reason"`
	Detail        string          `json:"detail"`
	Size          int64           `json:"size"`
	ReceivedAt    time.Time       `json:"received_at"`
	ClosedAt      *time.Time      `json:"closed_at"`
	// DuplicateOf is, for an email whose id was taken by another body, the
	// workflow of the email that took it; else empty.
	DuplicateOf string `json:"duplicate_of"`
	// PossibleDuplicateOf is the event id of another email of the tenant that had the
	// same Message-ID before this one was stored; else empty. Senders choose Message-IDs.
	PossibleDuplicateOf string `json:"possible_duplicate_of"`
	// Reported is what the provider said beside the mail; nothing of it is verified.
	Reported  mail.Reported `json:"reported"`
	MessageID string        `json:"message_id"`
	Subject   string        `json:"subject"`
	From      string        `json:"from"`
	// To are the recipients, in a list the first ListedRecipients of them; ToCount is how
	// many there are.
	To      []string `json:"to"`
	ToCount int      `json:"to_count"`
	// Foreign are the recipients outside the tenant's domains as the last routing
	// found them; no rule was asked about them unless a person let them pass. A list
	// has as many as of To.
	Foreign []string `json:"foreign_recipients"`
	// Unmatched are the recipients that no rule took in the last routing, while one took
	// another of the email. A list has as many as of To.
	Unmatched []string `json:"unmatched_recipients"`
	Routes    []string `json:"routes"`
	// Version changes with every change of state.
	Version int64 `json:"version"`
	// HeldAt is when the hold began that lasts, null where there is none.
	HeldAt *time.Time `json:"held_at"`
	// Attention is one of contract.Attention…, and since when.
	Attention   int        `json:"attention"`
	AttentionAt *time.Time `json:"attention_at"`
	// ApprovalsMissing is how many more people have to approve a held email that
	// needs more than one.
	ApprovalsMissing int `json:"approvals_missing"`
	// StartRefused says that Temporal cannot start the email's workflow, for the reason
	// in Detail: it is held by the ledger alone, until it is retried or discarded.
	StartRefused bool `json:"start_refused,omitempty"`
}

// Email is the key under which the steps know the row.
func (r *EmailRow) Email() contract.Email {
	return contract.Email{
		ID: r.ID, WorkflowID: r.WorkflowID, Source: r.Source, EventID: r.EventID,
		Tenant: r.Tenant, CorrelationID: r.CorrelationID, Size: r.Size,
	}
}

// EmailDetail is all that the ledger says of one email. Its lists are never nil.
type EmailDetail struct {
	EmailRow
	Attachments []mail.Attachment `json:"attachments"`
	Deliveries  []DeliveryRow     `json:"deliveries"`
	Decisions   []DecisionRow     `json:"decisions"`
	Edits       []EditRow         `json:"edits"` // what people laid over it; the fields above are as it came
	// Timeline is the email's way, oldest first; it is read by DB.Timeline and empty
	// where it was not asked for.
	Timeline []TimelineEntry `json:"timeline,omitempty"`
}

// DeliveryRow is a Delivery as an operator reads it.
type DeliveryRow struct {
	Destination    string        `json:"destination"`
	Effect         string        `json:"effect"` // of the replay that sent it again; empty: the first
	State          DeliveryState `json:"state"`
	Attempts       int           `json:"attempts"`
	LastStatus     int           `json:"last_status"`
	LastError      string        `json:"last_error"`
	LastCode       string        `json:"last_code"` // of the last call: a fault.Cause, else a fault.Code
	NextAttemptAt  *time.Time    `json:"next_attempt_at"`
	DeliveredAt    *time.Time    `json:"delivered_at"`
	IdempotencyKey string        `json:"idempotency_key"`
}

// DecisionRow is what a person decided. Reason is what the email was held for
// at that moment.
type DecisionRow struct {
	Action contract.Action `json:"action"`
	Actor  string          `json:"actor"`
	Via    string          `json:"via"`
	Note   string          `json:"note"`
	At     time.Time       `json:"at"`
	Before contract.State  `json:"before"`
	After  contract.State  `json:"after"`
	Reason contract.Reason `json:"reason"`
	// Verified reports that Actor comes from our own authentication or
	// configuration; else it is what a client of Temporal claimed.
	Verified bool `json:"verified"`
	// Missing is how many more people had to approve after this one.
	Missing int `json:"missing"`
	// EditID names the edit that the decision laid over the email; 0 for none.
	EditID int64 `json:"edit_id"`
}
