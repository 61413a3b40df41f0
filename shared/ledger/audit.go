package ledger

import (
	"encoding/json"
)

// AuditKind says what an entry of the audit chain is about.
type AuditKind string

// The kinds. The entry of a decision is appended by the database itself, together
// with the decision's row.
const (
	AuditDecision       AuditKind = "decision"
	AuditEdit           AuditKind = "edit"
	AuditReplay         AuditKind = "replay"
	AuditToken          AuditKind = "token"
	AuditDestination    AuditKind = "destination"
	AuditDiscardContent AuditKind = "discard_content"
)

// AuditRecord is what an entry of the audit chain says, before it has its place
// in it.
type AuditRecord struct {
	Kind AuditKind
	// EmailID is the ledger row that it is about, 0 for none. Its event id, source
	// and tenant are kept with the entry.
	EmailID int64
	// Tenant is whose matter it is where it is about no email; empty for all of them.
	Tenant string
	Actor  string
	Via    string
	// Body is a JSON object: what was done, notes included, but neither mail
	// content nor an edit's values, of which it has the hash. Entries are kept
	// for ever.
	Body json.RawMessage
}

// AuditDifference is where a row of decisions and its entry of the chain do not
// agree. What is unchained, missing or changed; Seq is 0 where there is no entry.
type AuditDifference struct {
	Seq      int64  `json:"seq"`
	EmailID  int64  `json:"email_id"`
	Sequence int64  `json:"sequence"`
	What     string `json:"what"`
}
