package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Bucket is one of the two buckets by its role; the configuration names them.
type Bucket string

// Raw holds raw bodies, raw mail and large parsed messages; Attachments holds
// nothing that was not an attachment, so that links can be limited to it.
const (
	Raw         Bucket = "raw"
	Attachments Bucket = "attachments"
)

// BodyKey is where Raw holds the raw body with this SHA-256, in 64 digits of lower-case
// hex, of the event with this workflow ID. A repeat of the event has the same key and no
// other event has it: the ingress writes it before there is a row that names it, so it
// must not be one that is just being removed for another email.
func BodyKey(sha256hex, workflowID string) string {
	const eventHash = 16
	event := sha256.Sum256([]byte(workflowID))
	return "body/" + sha256hex[:2] + "/" + sha256hex + "-" + hex.EncodeToString(event[:eventHash])
}

// MIMEKey is where Raw holds the raw mail with this SHA-256.
func MIMEKey(sha256 string) string { return "mime/" + sha256[:2] + "/" + sha256 }

// AttachmentKey is where Attachments holds the bytes with this SHA-256.
func AttachmentKey(sha256 string) string { return sha256[:2] + "/" + sha256 }

// MessageKey is where Raw holds the parsed message of an email that is too large
// for its ledger row.
func MessageKey(emailID int64) string { return "message/" + strconv.FormatInt(emailID, 10) }
