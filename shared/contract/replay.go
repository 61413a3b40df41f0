package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// The workflows about many emails. Replay carries out one replay or one decision about
// many; Maintenance does what no request asks for, and is started by the schedule
// MaintenanceSchedule.
const (
	ReplayWorkflow      = "Replay"
	MaintenanceWorkflow = "Maintenance"
)

// Handlers of Replay. Each update has a signal of the same name that does the
// same; all answer with, or query, ReplayProgress. ReplaySetRate takes a
// ReplayRate.
const (
	ReplayPause   = "pause"
	ReplayResume  = "resume"
	ReplayStop    = "stop"
	ReplaySetRate = "set_rate"
	QueryProgress = "progress"
)

// MemoReplay is the memo of a Replay, and of an InboundEmail that a replay has
// started: the number of the replay in decimal. It tells a repeat of a start that the
// first one succeeded.
const MemoReplay = "replay"

// ReplayEffect returns what tells the deliveries of a replay apart in the ledger and in
// their idempotency keys. It is no workflow ID.
func ReplayEffect(id int64) string { return "replay-" + strconv.FormatInt(id, 10) }

// EffectKey is the idempotency key of a delivery that must count as another one
// than all before it: IdempotencyKey with the effect mixed in.
func EffectKey(workflowID, destination, effect string) string {
	if effect == "" {
		return IdempotencyKey(workflowID, destination)
	}
	sum := sha256.Sum256([]byte(workflowID + "\x00" + destination + "\x00" + effect))
	return "mr_" + hex.EncodeToString(sum[:16])
}

// Replayed says that an email is processed once more, by which replay, and where its way
// begins. With NewEffect its deliveries have other idempotency keys than all before.
type Replayed struct {
	ID        int64 `json:"id"`
	From      Step  `json:"from,omitempty"` // empty: StepStore
	NewEffect bool  `json:"new_effect,omitempty"`
}

// ReplayState is where a replay is. The last three are final.
type ReplayState string

// The states of a replay.
const (
	ReplayRunning ReplayState = "running"
	ReplayPaused  ReplayState = "paused"
	ReplayStopped ReplayState = "stopped"
	ReplayDone    ReplayState = "done"
	ReplayFailed  ReplayState = "failed"
)

// Final reports whether a replay in this state has come to its end.
func (s ReplayState) Final() bool {
	return s == ReplayStopped || s == ReplayDone || s == ReplayFailed
}

// Bounds of a replay.
const (
	// MaxReplayRate is the highest rate, in emails per second.
	MaxReplayRate = 10_000
	// DefaultAtOnce and MaxAtOnce bound how many emails a replay works on side by side.
	DefaultAtOnce = 64
	MaxAtOnce     = 256
)

// ReplayInput starts the workflow of a replay. What it is to do is in its row:
// a filter holds addresses and a note is a person's.
type ReplayInput struct {
	ID     int64 `json:"id"`
	DryRun bool  `json:"dry_run,omitempty"`
	// Progress is that of the runs before this one.
	Progress     ReplayProgress `json:"progress,omitzero"`
	DueUnixMicro int64          `json:"due_unix_micro,omitempty"`
}

// ReplayProgress is how far a replay is. Total is -1 until it is known.
type ReplayProgress struct {
	State   ReplayState `json:"state"`
	Total   int64       `json:"total"`
	Done    int64       `json:"done"`
	Skipped int64       `json:"skipped"`
	Failed  int64       `json:"failed"`
	Rate    float64     `json:"rate"` // what it is limited to; 0: not limited
	Pace    float64     `json:"pace"` // per second, lately
}

// Handled is how many emails have a result.
func (p ReplayProgress) Handled() int64 { return p.Done + p.Skipped + p.Failed }

// ReplayRate is the argument of set_rate.
type ReplayRate struct {
	Rate float64 `json:"rate"` // emails per second; 0: as fast as it goes
}

// ReplayChunkInput asks for a part of a replay. Chunk is idempotent on what the
// ledger says was claimed: a repeat finds out what became of it first.
type ReplayChunkInput struct {
	ID      int64 `json:"id"`
	Seconds int   `json:"seconds"` // how long the part may take
	// DueUnixMicro is when the next email is due by the schedule of the part before;
	// 0: now.
	DueUnixMicro int64 `json:"due_unix_micro,omitempty"`
}

// ReplayChunkResult is how far it came. Progress.State is what the row says: a
// replay that was paused or stopped in the meantime ends its part early.
type ReplayChunkResult struct {
	Progress     ReplayProgress `json:"progress"`
	DueUnixMicro int64          `json:"due_unix_micro,omitempty"`
}

// ReplayControlInput changes a running replay: to State, or where that is empty to Rate.
type ReplayControlInput struct {
	ID    int64       `json:"id"`
	State ReplayState `json:"state,omitempty"`
	Rate  *float64    `json:"rate,omitempty"`
}

// MaintenanceInput is what the schedule starts Maintenance with.
type MaintenanceInput struct{}

// MaintenanceResult says in numbers what Maintenance did.
type MaintenanceResult struct {
	Causes   int   `json:"causes,omitempty"`   // outages that hold emails
	Released int   `json:"released,omitempty"` // of them, whose emails were released
	Started  int   `json:"started,omitempty"`  // replays whose workflow was missing
	Removed  int64 `json:"removed,omitempty"`  // discarded emails whose content is gone
	Objects  int64 `json:"objects,omitempty"`  // objects that no email has any more
}
