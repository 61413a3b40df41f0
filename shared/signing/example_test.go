package signing_test

import (
	"encoding/hex"
	"fmt"

	"mailroom/shared/signing"
)

// A provider signs the exact bytes of the body, together with the timestamp as sent.
func ExampleTimestampHMAC() {
	body := []byte(`{"event_id":"evt_1"}`)
	timestamp := "1767225600"

	fmt.Println(signing.TimestampHeader+":", timestamp)
	fmt.Println(signing.SignatureHeader+":", signing.TimestampHMAC("whsec-test", timestamp, body))
	// Output:
	// X-Webhook-Timestamp: 1767225600
	// X-Webhook-Signature: 08bd28bc5b80a71fc3df4371094c1d60e557fe09f1ef794e0614d7d8b79e9560
}

// A receiver computes the same signature while it reads the body.
func ExampleNewTimestampHMAC() {
	mac := signing.NewTimestampHMAC("whsec-test", "1767225600")
	for _, piece := range []string{`{"event_id":`, `"evt_1"}`} {
		_, _ = mac.Write([]byte(piece))
	}

	fmt.Println(hex.EncodeToString(mac.Sum(nil)) == signing.TimestampHMAC("whsec-test", "1767225600", []byte(`{"event_id":"evt_1"}`)))
	// Output: true
}
