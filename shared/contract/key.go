package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// The names of objects in the object store. An object is named after the SHA-256 of
// its content, so that a repeat writes the same again; the first two digits make the
// folders that a person can list. Bodies, mails and messages lie in the bucket raw,
// attachments in their own.

// BodyKey names the raw body of a webhook call that was kept in its row at first.
func BodyKey(sum [32]byte) string { return contentKey("body/", sum) }

// EventBodyKey names the raw body of the event with this workflow ID, where it is
// written before there is a row that names it. A repeat of the event has the same key
// and no other event has it, so it is not one that is just being removed for another.
func EventBodyKey(sum [32]byte, workflowID string) string {
	const eventHash = 16
	event := sha256.Sum256([]byte(workflowID))
	return BodyKey(sum) + "-" + hex.EncodeToString(event[:eventHash])
}

// MIMEKey names a raw mail.
func MIMEKey(sum [32]byte) string { return contentKey("mime/", sum) }

// AttachmentKey names the bytes of an attachment.
func AttachmentKey(sum [32]byte) string { return contentKey("", sum) }

// MessageKey names the parsed message of an email that is too large for its ledger
// row. Another parser may make another one of the same email.
func MessageKey(emailID int64, sum [32]byte) string {
	return "message/" + strconv.FormatInt(emailID, 10) + "/" + hex.EncodeToString(sum[:])
}

func contentKey(folder string, sum [32]byte) string {
	name := hex.EncodeToString(sum[:])
	return folder + name[:2] + "/" + name
}
