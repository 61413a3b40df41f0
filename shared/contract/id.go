package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// FirstSource is the source whose workflow IDs are the bare event ids.
const FirstSource = "mailparse"

// MaxEventID is the longest event id in bytes that is accepted.
const MaxEventID = 512

// plainID is what an event id must look like to be a workflow ID as it is: 1 to
// 200 printable ASCII characters but space, "/" and "~", which are ours.
var plainID = regexp.MustCompile(`^[!-.0-}]{1,200}$`)

const hashed = "sha256-"

// WorkflowID gives the workflow ID of an event: the event id itself for
// FirstSource, "<source>/<event id>" for others, with a hash in place of an id
// that is not plain. It is a pure function, the root of dedup in processing, and
// no two events share one: an id that looks like what is made here ("/" of
// another source, "~" of a conflict, a hash) is hashed itself. Names of sources
// contain neither "/" nor "~".
func WorkflowID(source, eventID string) string {
	id := eventID
	if !plainID.MatchString(id) || strings.HasPrefix(id, hashed) {
		sum := sha256.Sum256([]byte(eventID))
		id = hashed + hex.EncodeToString(sum[:])
	}
	if source == FirstSource {
		return id
	}
	return source + "/" + id
}

// ConflictWorkflowID is the workflow ID of an event whose id was taken by
// another body: a workflow of its own, named after the body.
func ConflictWorkflowID(source, eventID string, bodySHA256 [32]byte) string {
	return WorkflowID(source, eventID) + "~" + hex.EncodeToString(bodySHA256[:8])
}

// IdempotencyKey is what a destination may use to recognise a repeat: a function
// of the workflow ID and the destination alone, the same on each attempt,
// replay and reset. It gives nothing away about the event id.
func IdempotencyKey(workflowID, destination string) string {
	sum := sha256.Sum256([]byte(workflowID + "\x00" + destination))
	return "mr_" + hex.EncodeToString(sum[:16])
}
