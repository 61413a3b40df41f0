// Package signing computes the signatures that Mailroom and its neighbours put on
// HTTP requests.
//
// Invariants: what is signed is bytes, never text that was decoded or serialised
// again; the package verifies nothing (a verifier compares in constant time, and
// that is its own business) and imports the standard library alone.
package signing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// Headers of the timestamp-hmac scheme.
const (
	TimestampHeader = "X-Webhook-Timestamp"
	SignatureHeader = "X-Webhook-Signature"
)

// TimestampHMAC signs body under the timestamp-hmac scheme: the lower-case hex
// HMAC-SHA256, keyed with the text of secret, of the timestamp header's text as it
// is sent, a full stop, and the raw body.
func TimestampHMAC(secret, timestamp string, body []byte) string {
	mac := NewTimestampHMAC(secret, timestamp)
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// NewTimestampHMAC begins the MAC of TimestampHMAC for a body that is written to
// it piece by piece. Sum(nil) gives the 32 raw bytes; Reset forgets the timestamp
// as well and must not be used.
func NewTimestampHMAC(secret, timestamp string) hash.Hash {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp))
	mac.Write([]byte{'.'})
	return mac
}
