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

// TimestampHMAC returns the signature of body under the timestamp-hmac scheme: the
// lower-case hex HMAC-SHA256, keyed with the text of secret, of the text of the
// timestamp header, a full stop, and the raw body.
func TimestampHMAC(secret, timestamp string, body []byte) string {
	mac := NewTimestampHMAC(secret, timestamp)
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// NewTimestampHMAC returns the MAC of TimestampHMAC for a body that is written to it in
// pieces. Sum(nil) returns the 32 raw bytes. Reset must not be called: it drops the
// timestamp too.
func NewTimestampHMAC(secret, timestamp string) hash.Hash {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp))
	mac.Write([]byte{'.'})
	return mac
}
