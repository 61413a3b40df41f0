package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

// FirstSource is the source whose workflow IDs are the bare event ids.
const FirstSource = "mailparse"

// MaxEventID is the longest event id in bytes that is accepted.
const MaxEventID = 512

var plainID = regexp.MustCompile(`^[!-~]{1,200}$`)

// WorkflowID gives the workflow ID of an event: the event id itself for
// FirstSource, "<source>/<event id>" for others, and a hash where the id is not
// 1 to 200 printable ASCII characters without spaces. It is a pure function, the
// root of dedup in processing.
func WorkflowID(source, eventID string) string {
	id := eventID
	if !plainID.MatchString(id) {
		sum := sha256.Sum256([]byte(eventID))
		id = "sha256-" + hex.EncodeToString(sum[:])
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
