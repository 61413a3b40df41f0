package signing

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTimestampHMACAgreesWithOpenSSL has the expected text from
// printf '%s' '1767225600.{"event_id":"evt_1"}' | openssl dgst -sha256 -hmac whsec-test
func TestTimestampHMACAgreesWithOpenSSL(t *testing.T) {
	t.Parallel()
	got := TimestampHMAC("whsec-test", "1767225600", []byte(`{"event_id":"evt_1"}`))
	require.Equal(t, "08bd28bc5b80a71fc3df4371094c1d60e557fe09f1ef794e0614d7d8b79e9560", got)
}

func TestStreamingGivesTheSameSignature(t *testing.T) {
	t.Parallel()
	body := []byte("\x00\xff bytes that are not text \xc3\x28")
	mac := NewTimestampHMAC("secret", "1700000000000")
	for _, b := range body {
		mac.Write([]byte{b})
	}
	require.Equal(t, TimestampHMAC("secret", "1700000000000", body), hex.EncodeToString(mac.Sum(nil)))
}

func TestEveryIngredientCounts(t *testing.T) {
	t.Parallel()
	base := TimestampHMAC("secret", "1", []byte("body"))
	require.NotEqual(t, base, TimestampHMAC("secreT", "1", []byte("body")))
	require.NotEqual(t, base, TimestampHMAC("secret", "2", []byte("body")))
	require.NotEqual(t, base, TimestampHMAC("secret", "1", []byte("body ")))
}
