package auditchain

import (
	"encoding/json"
	"fmt"
	"time"

	"mailroom/shared/contract"
)

// Format names the form of a Document.
const Format = "mailroom.custody.v1"

// KindExport is the entry that is appended with each export. Its body has the hash
// of the record: so the chain holds all that the record says, as of then, and not
// only the decisions.
const KindExport = "export"

// Document is one email's chain of custody, and what proves it.
type Document struct {
	Format string `json:"format"`
	Record Record `json:"record"`
	Proof  Proof  `json:"proof"`
}

// Record is what Mailroom knows of an email's way. It holds no content of the mail
// but the names of attachments.
type Record struct {
	EventID       string        `json:"event_id"`
	Source        string        `json:"source"`
	Tenant        string        `json:"tenant"`
	WorkflowID    string        `json:"workflow_id"`
	CorrelationID string        `json:"correlation_id"`
	MessageID     string        `json:"message_id"`
	EmailID       int64         `json:"email_id"` // as in the entries of the chain
	ReceivedAt    time.Time     `json:"received_at"`
	ExportedAt    time.Time     `json:"exported_at"`
	State         string        `json:"state"`
	Reason        string        `json:"reason"`
	ClosedAt      *time.Time    `json:"closed_at"`
	Raw           Hashed        `json:"raw"`  // the body of the webhook, as it came
	MIME          *Hashed       `json:"mime"` // the raw mail inside it; null where none came
	Verified      Verified      `json:"verified"`
	Stored        Stored        `json:"stored"`
	Inspected     Inspected     `json:"inspected"`
	Routed        Routed        `json:"routed"`
	Attachments   []Attachment  `json:"attachments"`
	Deliveries    []Delivery    `json:"deliveries"`
	Decisions     []Decision    `json:"decisions"`
	States        []StateChange `json:"states"`
}

// Hashed names some bytes. Size is -1 where it is not kept.
type Hashed struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Verified says which key vouched for the event when it was received.
type Verified struct {
	Scheme string `json:"scheme"`
	Key    int    `json:"key"`
	Ref    string `json:"ref"`
}

// Stored says what took the mail apart.
type Stored struct {
	At     *time.Time `json:"at"`
	Parser string     `json:"parser"`
}

// Inspected says what looked for malware.
type Inspected struct {
	At       *time.Time `json:"at"`
	Scanner  string     `json:"scanner"`
	Database string     `json:"database"`
	RawView  string     `json:"raw_view,omitempty"` // what came of the raw mail as a whole; as contract.RawView
}

// Routed says which rules chose the destinations.
type Routed struct {
	At     *time.Time `json:"at"`
	Rules  string     `json:"rules"`
	Routes []string   `json:"routes"`
}

// Attachment is one attachment with its verdict.
type Attachment struct {
	Filename     string `json:"filename"`
	SHA256       string `json:"sha256"`
	Size         int64  `json:"size"`
	ContentType  string `json:"content_type"`
	DetectedType string `json:"detected_type"`
	Verdict      string `json:"verdict"`
	Signature    string `json:"signature"`
}

// Delivery is the email to one destination, with every call that was made.
type Delivery struct {
	Destination    string     `json:"destination"`
	Effect         string     `json:"effect"`
	State          string     `json:"state"`
	IdempotencyKey string     `json:"idempotency_key"`
	ContentSHA256  string     `json:"content_sha256"`
	DeliveredAt    *time.Time `json:"delivered_at"`
	Attempts       []Attempt  `json:"attempts"`
}

// Attempt is one call of a destination.
type Attempt struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	TookMS int64     `json:"took_ms"`
	Status int       `json:"status"`
	Code   string    `json:"code"`
}

// Decision is what a person decided, and the entry of the chain that says so.
type Decision struct {
	At     time.Time `json:"at"`
	Action string    `json:"action"`
	Actor  string    `json:"actor"`
	Via    string    `json:"via"`
	Note   string    `json:"note"`
	Reason string    `json:"reason"`
	Before string    `json:"before"`
	After  string    `json:"after"`
	// Sequence tells the decisions of an email apart, Seq is the entry's number.
	Sequence int64 `json:"sequence"`
	Seq      int64 `json:"seq"`
}

// StateChange is a state that the email came into and did not just pass through.
type StateChange struct {
	At     time.Time `json:"at"`
	State  string    `json:"state"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail"`
}

// Proof is the part of the chain from the first entry about the email to the end,
// whose last entry is the export's own.
type Proof struct {
	// From is the number of the first entry of Links, Prev the hash before it.
	From int64           `json:"from"`
	Prev contract.Digest `json:"prev_hash"`
	// Links are the hashes of what each entry says, one after the other.
	Links []contract.Digest `json:"content_hashes"`
	// Entries are those about this email, whole.
	Entries []Entry `json:"entries"`
	Head    Head    `json:"head"`
}

// exportBody is the body of an entry of KindExport.
type exportBody struct {
	Format       string          `json:"format"`
	RecordSHA256 contract.Digest `json:"record_sha256"`
}

// ExportBody returns the body of the entry that a record's export appends.
func ExportBody(r *Record) (json.RawMessage, error) {
	sum, err := digest(r)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(exportBody{Format: Format, RecordSHA256: sum})
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return text, nil
}
