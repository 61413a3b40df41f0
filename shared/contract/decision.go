package contract

import "slices"

// Action is what a person decides about mail that is held, or that waits for a
// dependency.
type Action string

// The actions. Approve waives what held the email and goes on; retry runs the
// held step again and waives nothing, or makes the attempt now that the email waits
// for; edit is retry with a change laid over the email; hold keeps an email that waits
// until a person approves it; discard ends it.
const (
	Approve Action = "approve"
	Discard Action = "discard"
	Retry   Action = "retry"
	Edited  Action = "edit"
	Held    Action = "hold"
)

// Actions lists every action once.
var Actions = []Action{Approve, Discard, Retry, Edited, Held}

// Via says which way a decision came. A decision that came without our authentication is
// an update or a signal, whatever its sender claims.
type Via string

// The ways.
const (
	ViaAPI     Via = "api"
	ViaConsole Via = "console"
	ViaMailctl Via = "mailctl"
	ViaReplay  Via = "replay" // a replay or a decision about many emails
	ViaSystem  Via = "system" // an unavailable dependency has recovered
	ViaPolicy  Via = "policy" // the deadline that the configuration sets
	ViaUpdate  Via = "update" // sent to Temporal, without our authentication
	ViaSignal  Via = "signal" // the same
)

// Step is where in its way an email is, and where it may be sent back to.
type Step string

// The steps that an email can be sent back to, in their order.
const (
	StepStore   Step = "store"
	StepInspect Step = "inspect"
	StepRoute   Step = "route"
	StepDeliver Step = "deliver"
)

// Steps lists them in their order.
var Steps = []Step{StepStore, StepInspect, StepRoute, StepDeliver}

// Before reports whether s is one of Steps that comes before t.
func (s Step) Before(t Step) bool {
	i := slices.Index(Steps, s)
	return i >= 0 && i < slices.Index(Steps, t)
}

// Decision is the argument of the update decide and, without Action, of the
// signals. Our own programs send an Intent and nothing else: the row behind it
// says who decides what and why, so that neither a note nor an edit is in Temporal, and
// a sender that can only reach Temporal cannot act under another name.
// Without an Intent the update requires a Note; Actor is then what the sender
// claims. Actor and Note are at most MaxActor and MaxNote bytes.
type Decision struct {
	Intent int64 `json:"intent,omitempty"`
	// Records goes with an Intent, of a sender that lasts: where the decision is the
	// email's end, the sender writes it to the ledger, as the answer's Record says.
	Records bool   `json:"records,omitempty"`
	Action  Action `json:"action,omitempty"`
	Actor   string `json:"actor,omitempty"`
	Note    string `json:"note,omitempty"`
	Via     Via    `json:"via,omitempty"`
	Edit    *Edit  `json:"edit,omitempty"`
	// From sends the email back to an earlier step than the one that holds it.
	From Step `json:"from,omitempty"`
}

// Bounds of a decision, in bytes.
const (
	MaxActor = 200
	MaxNote  = 4000
)

// Edit is a change that is laid over an email; the original bytes stay as they
// came. Empty fields change nothing.
type Edit struct {
	// To names the destinations in place of those that the rules give.
	To []string `json:"to,omitempty"`
	// Recipients stand in place of the envelope's.
	Recipients []string `json:"recipients,omitempty"`
	// Headers are set, or removed where the value is null.
	Headers map[string]*string `json:"headers,omitempty"`
	// Charset is how text is read that declares none, or a wrong one.
	Charset string `json:"charset,omitempty"`
	// Drop lists attachments by their SHA-256 in hex that are not delivered.
	Drop []string `json:"drop,omitempty"`
	// Fields maps members of the provider's JSON to the field that they should
	// have been, such as {"rcpt": "recipient"}.
	Fields map[string]string `json:"fields,omitempty"`
}

// DecisionResult answers the update decide.
type DecisionResult struct {
	State State `json:"state"`
	// Missing is how many more people have to approve before the email goes on.
	Missing int `json:"missing,omitempty"`
	// Delivered are the destinations that had the email before it was discarded.
	Delivered []string `json:"delivered,omitempty"`
	// Note says why a decision that was recorded changed nothing, and what to do.
	Note string `json:"note,omitempty"`
	// Record is what the sender has to write to the ledger, where it said that it
	// would: the email has come to its end, and its workflow does not write that down.
	Record *RecordInput `json:"record,omitempty"`
}
