// Package receiving verifies Mailroom's deliveries: the samples of receiving.md, which
// TestReceiversVerify runs.
package receiving

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Verify reports whether one of the secrets signed these exact bytes within five minutes.
func Verify(h http.Header, body []byte, secrets ...string) bool {
	seconds, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}

	for _, secret := range secrets {
		key, err := []byte(secret), error(nil)
		if encoded, found := strings.CutPrefix(secret, "whsec_"); found {
			key, err = base64.StdEncoding.DecodeString(encoded)
		}
		if len(key) == 0 || err != nil {
			continue // an empty key would accept what anyone signs
		}

		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "."))
		mac.Write(body)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for _, signature := range strings.Fields(h.Get("webhook-signature")) {
			if hmac.Equal([]byte(signature), []byte(want)) { // in constant time
				return true
			}
		}
	}
	return false
}
