package ledger

import (
	"time"

	"mailroom/shared/contract"
)

// ActionReplay is what a replay does that processes emails once more; the other
// actions of a replay are contract.Approve, Discard, Retry and Held, about emails that are
// held, or that wait for their next attempt.
const ActionReplay contract.Action = "replay"

// NewReplay is a replay that is asked for. Its emails are those that the ledger
// has at this moment.
type NewReplay struct {
	// Action is ActionReplay, Approve, Discard, Retry or Held.
	Action contract.Action
	// From is where ActionReplay takes emails up: StepStore, StepRoute, or empty
	// for the step that holds them or waits.
	From      contract.Step
	Filter    Filter
	DryRun    bool
	NewEffect bool
	Note      string
	Actor     string
	Person    string // the person that Actor acts for; empty: Actor
	Via       contract.Via
	// Cause names the dependency that has recovered, where Mailroom started the replay; one
	// cause has one replay at a time.
	Cause string
	Rate  float64 // emails per second; 0: as fast as it goes
	// AtOnce is how many emails are worked on side by side; 0 means contract.DefaultAtOnce.
	AtOnce int
	// StartedFrom is the dry run that this one was started from, 0 where there was
	// none; Key is made by the caller and names one replay of the actor, unless it is
	// empty. Either begins one replay for ever.
	StartedFrom int64
	Key         string
}

// ReplayRow is a replay as the ledger has it. Unset times are null in JSON.
type ReplayRow struct {
	ID        int64           `json:"id"`
	Action    contract.Action `json:"action"`
	From      string          `json:"from"` // held, route or raw
	Filter    Filter          `json:"filter"`
	DryRun    bool            `json:"dry_run"`
	NewEffect bool            `json:"new_effect"`
	Note      string          `json:"note"`
	Actor     string          `json:"actor"`
	Via       contract.Via    `json:"via"`
	Cause     string          `json:"cause"`
	Rate      float64         `json:"rate"`
	AtOnce    int             `json:"at_once"`
	// StartedFrom is the dry run that this one was started from, StartedAs the replay
	// that was started from this dry run.
	StartedFrom *int64               `json:"started_from"`
	StartedAs   *int64               `json:"started_as"`
	Key         string               `json:"key"`
	State       contract.ReplayState `json:"state"`
	CreatedAt   time.Time            `json:"created_at"`
	StartedAt   *time.Time           `json:"started_at"`
	EndedAt     *time.Time           `json:"ended_at"`
	// Total is how many emails were chosen at the start, -1 until that is known.
	Total   int64 `json:"total"`
	Done    int64 `json:"done"`
	Skipped int64 `json:"skipped"`
	Failed  int64 `json:"failed"`
	// Pace is how many per second there were lately; Left how long the rest takes
	// at that pace, in seconds, -1 where it is not known.
	Pace float64 `json:"pace"`
	Left float64 `json:"seconds_left"`
	// Results counts the emails by the code of their result; never nil.
	Results map[string]int64 `json:"results"`
	// Preview is what a dry run found, nil until it has.
	Preview *ReplayPreview `json:"preview"`
	// Outcomes says what became of the emails that are done; nil in lists and for dry runs.
	Outcomes *ReplayOutcomes `json:"outcomes"`
	// Warning is what has to be known before it is started; empty for most.
	Warning string `json:"warning"`
}

// MaxOutcomes bounds how many emails of a replay its outcomes count.
const MaxOutcomes = 10_000

// ReplayOutcomes counts the emails that a replay has done by what they are now, the first
// MaxOutcomes of them. Decisions made since count too.
type ReplayOutcomes struct {
	Emails  int64                     `json:"emails"`
	ByState map[contract.State]int64  `json:"by_state"`
	HeldFor map[contract.Reason]int64 `json:"held_for"` // of those that are held, again or still
}

// ReplayFilter chooses replays, newest first.
type ReplayFilter struct {
	Tenants []string // nil means all
	DryRuns bool     // those alone, instead of what was started
	Cursor  string
	Limit   int // DefaultLimit when zero, never more than MaxLimit
}

// Progress is the row in the numbers that cross Temporal.
func (r *ReplayRow) Progress() contract.ReplayProgress {
	return contract.ReplayProgress{
		State: r.State, Total: r.Total, Done: r.Done, Skipped: r.Skipped, Failed: r.Failed, Rate: r.Rate, Pace: r.Pace,
	}
}

// FromStep is the step that From names.
func (r *ReplayRow) FromStep() contract.Step {
	switch r.From {
	case FromRaw:
		return contract.StepStore
	case FromRoute:
		return contract.StepRoute
	}
	return ""
}

// WaitingText says what the replay does with emails that wait for their next attempt.
func (r *ReplayRow) WaitingText() string {
	switch {
	case r.Action == contract.Approve:
		return "they are not held and stay as they are"
	case r.Action == contract.Discard:
		return "they are ended; what was delivered stays delivered"
	case r.Action == contract.Held:
		return "they are held until they are approved"
	case r.FromStep() == contract.StepStore:
		return "they are read again from the raw mail, and tried now"
	case r.FromStep() == contract.StepRoute:
		return "they are routed again, and tried now"
	}
	return "they are tried now"
}

// Where a replay takes emails up, in words for people.
const (
	FromHeld    = "held"
	FromRoute   = "route"
	FromInspect = "inspect" // is never asked for: where an email that was not inspected begins
	FromRaw     = "raw"
)

// ReplayFrom names a step in those words.
func ReplayFrom(s contract.Step) string {
	switch s {
	case contract.StepStore:
		return FromRaw
	case contract.StepInspect:
		return FromInspect
	case contract.StepRoute:
		return FromRoute
	}
	return FromHeld
}

// ReplayItemState is where a replay is with one email.
type ReplayItemState string

// The states of one email in a replay. Claimed means that it may or may not have
// been done: it is found out.
const (
	ItemClaimed ReplayItemState = "claimed"
	ItemDone    ReplayItemState = "done"
	ItemSkipped ReplayItemState = "skipped"
	ItemFailed  ReplayItemState = "failed"
)

// ReplayCode is the result of a replay for one email. A dry run counts the same
// codes as what would be.
type ReplayCode string

// The codes of what was done, then of what was not.
const (
	ItemDecided ReplayCode = "decided" // the email was held, or waited, and took the decision
	ItemStarted ReplayCode = "started" // the email is processed once more

	ItemBusy           ReplayCode = "in_progress"     // it is on its way by itself
	ItemNotHeld        ReplayCode = "not_held"        // there is nothing to decide
	ItemNotWaiting     ReplayCode = "not_waiting"     // it waits for no attempt: there is nothing to hold
	ItemContentRemoved ReplayCode = "content_removed" // there is nothing left to process
	ItemDuplicate      ReplayCode = "duplicate"       // another email has the same event
	ItemRefused        ReplayCode = "refused"         // the email's workflow did not take the decision
	ItemUnavailable    ReplayCode = "unavailable"     // its workflow did not answer, again and again
)

// ReplayResult is the result for one email. Detail is a sentence without mail content.
type ReplayResult struct {
	EmailID int64
	State   ReplayItemState
	Code    ReplayCode
	Detail  string
}

// ReplayItem is one email that a replay has come to, as an operator reads it.
type ReplayItem struct {
	Number     int64           `json:"number"` // of the email
	EventID    string          `json:"event_id"`
	WorkflowID string          `json:"workflow_id"`
	Source     string          `json:"source"`
	State      ReplayItemState `json:"state"`
	Code       ReplayCode      `json:"code"`
	Detail     string          `json:"detail"`
	At         time.Time       `json:"at"`
	// EmailState and EmailReason are what the email is now.
	EmailState  contract.State  `json:"email_state"`
	EmailReason contract.Reason `json:"email_reason"`
	// Sent counts the deliveries that went out because of this replay: those that it sent,
	// and those that its decision let go. Same counts those that had nothing new.
	Sent int64 `json:"sent"`
	Same int64 `json:"same"`
}

// ReplayItemFilter chooses items of one replay, oldest first.
type ReplayItemFilter struct {
	ReplayID int64
	State    ReplayItemState
	Code     ReplayCode
	Cursor   string
	Limit    int // DefaultLimit when zero, never more than MaxLimit
}

// ReplayEmail is one email that a replay has claimed.
type ReplayEmail struct {
	EmailRow
	BodySHA256 [32]byte
	// ContentRemoved reports that the mail itself is gone.
	ContentRemoved bool
	// Stored reports that the store step has run, Started that a workflow was started for
	// the event, which is still in the inbox.
	Stored  bool
	Started bool
	// Earliest is the first step that is not known to be passed, as far as the rows
	// tell, and Open what is found and not closed.
	Earliest contract.Step
	Open     []contract.Finding
	// Again reports that it was claimed before, and that the ledger does not have what
	// became of it.
	Again bool
}

// ReplayPreview is what a dry run found: how many there are of each kind, what
// would become of them, and for a sample what would change.
type ReplayPreview struct {
	Total    int64            `json:"total"`
	ByState  map[string]int64 `json:"by_state"`
	ByReason map[string]int64 `json:"by_reason"`
	// Would counts by the code of the result.
	Would map[ReplayCode]int64 `json:"would"`
	// Begins counts the emails that would be processed once more by where they would
	// begin (raw, inspect or route), which may be earlier than was asked; HeldAgain
	// those of them that would be held again, by reason.
	Begins    map[string]int64 `json:"begins"`
	HeldAgain map[string]int64 `json:"held_again"`
	// Evaluated is how many emails were read with today's parser and rules, Changed
	// how many of them would be different; Sample shows some of the changed first.
	Evaluated int            `json:"evaluated"`
	Changed   int            `json:"changed"`
	Sample    []ReplaySample `json:"sample"`
}

// ReplayGroup counts emails that are alike to a replay.
type ReplayGroup struct {
	State          contract.State
	Reason         contract.Reason
	ContentRemoved bool
	Earliest       contract.Step     // as in ReplayEmail
	Open           []contract.Reason // of findings that are open
	Count          int64
}

// ReplaySample is one email of a preview.
type ReplaySample struct {
	Number  int64           `json:"number,omitempty"` // of the email; 0 in a dry run of an older program
	EventID string          `json:"event_id"`
	Source  string          `json:"source"`
	State   contract.State  `json:"state"`
	Reason  contract.Reason `json:"reason"`
	Would   ReplayCode      `json:"would"`
	// Begins is where it would begin, HeldAgain for what it would be held again.
	Begins    string            `json:"begins,omitempty"`
	HeldAgain []contract.Reason `json:"held_again,omitempty"`
	Changes   []Change          `json:"changes"`
	// Error is a sentence where it could not be read.
	Error string `json:"error"`
}

// Held is how many emails are held for one cause, and the oldest of them.
type Held struct {
	// Cause is the reason, with ":" and the destination where a destination was unavailable.
	Cause       string
	Reason      contract.Reason
	Destination string
	Count       int64
	Oldest      EmailRow
}

// Recovery is what is being done about a cause.
type Recovery struct {
	Cause    string
	Canary   int64 // the email that was let go to see; 0: none
	Failures int
	TriedAt  time.Time
	NextAt   time.Time
}

// UntoldEnd is an email that a decision about many has claimed, and that may have come
// to its end without a row of that in the ledger.
type UntoldEnd struct {
	EmailID    int64
	WorkflowID string
	ReplayID   int64
	Intent     int64 // what the email's workflow was sent
	Over       bool  // the replay has ended
	Told       bool  // the ledger has the decision all the same
}
