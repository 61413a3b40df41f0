package ledger

import "mailroom/shared/contract"

// Intent is a decision that one of our own programs writes down before it asks
// Temporal to do it. Actor is the authenticated name. Exactly one of
// EmailID and ReplayID is set: an intent of a replay is for each of its emails.
type Intent struct {
	EmailID  int64
	ReplayID int64
	State    contract.State // in which the sender has seen the email; empty: any
	Action   contract.Action
	Actor    string
	Person   string // the person that Actor acts for; empty: Actor
	Via      contract.Via
	Note     string
	EditID   int64 // set where Action is edit, and only there
	From     contract.Step
}
