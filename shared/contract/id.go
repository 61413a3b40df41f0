package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// FirstSource is the source whose workflow IDs are the bare event ids.
const FirstSource = "mailparse"

const (
	// MaxEventID is the longest event id in bytes that is accepted.
	MaxEventID = 512
	// MaxWorkflowID is the longest workflow ID in bytes: what a Temporal server keeps
	// on PostgreSQL or MySQL.
	MaxWorkflowID = 255
)

// plainID is what an event id must look like to be a workflow ID as it is: 1 to
// 200 printable ASCII characters but space, "/" and "~", which are ours.
var plainID = regexp.MustCompile(`^[!-.0-}]{1,200}$`)

const (
	hashed = "sha256-"
	// system begins the IDs of Mailroom's own workflows. Each of them has two slashes
	// or more; the ID of an event has at most one.
	system = "mailroom/"
	// conflictHash is how many bytes of the body's hash name a conflict.
	conflictHash = 16
)

// WorkflowID returns the workflow ID of an event: the event id itself for
// FirstSource, "<source>/<event id>" for others, with a hash in place of an id that
// is not plain or would make the ID longer than MaxWorkflowID. It is a pure function,
// the root of deduplication in processing, and no two events share one: an id that
// looks like what is made here ("/" of another source or of a system workflow, "~" of
// a conflict, a hash) is hashed itself. Names of sources have at most 63 bytes and
// contain neither "/" nor "~".
func WorkflowID(source, eventID string) string {
	return eventWorkflowID(source, eventID, MaxWorkflowID)
}

// ConflictWorkflowID returns the workflow ID of an event whose id was taken by
// another body: a workflow of its own, named after the first 16 bytes of its body's
// SHA-256. It is at most MaxWorkflowID bytes long and is the ID of no other event.
func ConflictWorkflowID(source, eventID string, bodySHA256 [32]byte) string {
	suffix := "~" + hex.EncodeToString(bodySHA256[:conflictHash])
	return eventWorkflowID(source, eventID, MaxWorkflowID-len(suffix)) + suffix
}

// eventWorkflowID names an event in at most limit bytes.
func eventWorkflowID(source, eventID string, limit int) string {
	prefix := source + "/"
	if source == FirstSource {
		prefix = ""
	}

	plain := plainID.MatchString(eventID) && !strings.HasPrefix(eventID, hashed)
	if plain && len(prefix)+len(eventID) <= limit {
		return prefix + eventID
	}

	sum := sha256.Sum256([]byte(eventID))
	return prefix + hashed + hex.EncodeToString(sum[:])
}

// ReplayWorkflowID returns the workflow ID of a replay, which no event can have.
func ReplayWorkflowID(id int64) string { return system + "replay/" + strconv.FormatInt(id, 10) }

// MaintenanceSchedule is the ID of the schedule that starts Maintenance, and
// MaintenanceWorkflowID what the workflow IDs of its runs begin with: Temporal appends
// the time of each. No event can have either, nor the ID of Temporal's own workflow of
// the schedule, which contains MaintenanceSchedule.
const (
	MaintenanceSchedule   = system + "maintenance/schedule"
	MaintenanceWorkflowID = system + "maintenance/run"
)

// IdempotencyKey is what a destination may use to recognise a repeat: a function
// of the workflow ID and the destination alone, the same on each attempt,
// replay and reset. It discloses nothing about the event id.
func IdempotencyKey(workflowID, destination string) string {
	sum := sha256.Sum256([]byte(workflowID + "\x00" + destination))
	return "mr_" + hex.EncodeToString(sum[:16])
}
