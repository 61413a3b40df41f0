package ledger

import (
	"time"

	"mailroom/shared/contract"
)

// Bounds of a page of emails.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Filter chooses emails. A zero field does not filter. It is also what a replay
// and a decision about many emails keep as their choice, hence the JSON.
type Filter struct {
	State  contract.State  `json:"state,omitempty"`
	Reason contract.Reason `json:"reason,omitempty"`
	Source string          `json:"source,omitempty"`
	Tenant string          `json:"tenant,omitempty"`
	// Tenants are those that the asker may see; nil means every tenant, an empty
	// list none. It is set by the server and never by a request.
	Tenants []string `json:"tenants,omitzero"`
	// Sender and Recipient are looked for in any case inside the addresses.
	Sender    string `json:"sender,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	// Destination chooses emails that have a delivery there.
	Destination string `json:"destination,omitempty"`
	// Since and Until bound the time of receipt: from Since on, before Until.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Query is looked for, in any case, inside event id, message id, subject,
	// sender and recipients. One that is a whole event id or message id chooses the
	// emails that have it and no others.
	Query string `json:"q,omitempty"`
	// Emails are those that were chosen one by one, for a replay or a decision about many;
	// empty: all that the other fields choose.
	Emails []Chosen `json:"emails,omitempty"`
	// Cursor is what the page before returned as next; its form is not part of the API.
	Cursor string `json:"-"`
	// Limit is DefaultLimit when zero and never more than MaxLimit.
	Limit int `json:"-"`
}

// Chosen is one email that was chosen, as it was when it was looked at.
type Chosen struct {
	Number int64 `json:"number"`
	// Version is EmailRow.Version then: an email that has changed since is left out. 0: any.
	Version int64 `json:"version"`
}
