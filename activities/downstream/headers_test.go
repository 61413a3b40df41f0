package downstream

import (
	"io"
	"net/http"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/signing"
)

// The next request is signed with a rotated secret; an invalid one leaves the last valid
// one in use.
func TestSendFollowsARenewedSecret(t *testing.T) {
	t.Parallel()
	secret := config.NewSecret("first")
	var header http.Header
	var body []byte
	d := setup(t, func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	}, func(to *config.Destination, _ *Config) { to.Secret.Key = secret })
	for _, step := range []struct{ renewed, signs string }{
		{"first", "first"},
		{"second", "second"},
		{"whsec_!!!", "second"},
		{"whsec_!!!", "second"},
		{"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"},
		{"first", "first"},
	} {
		secret.Set(step.renewed)
		_, _, err := d.try(t.Context())
		require.NoError(t, err)
		require.Equal(t, signing.TimestampHMAC(step.signs, header.Get(signing.TimestampHeader), body), header.Get(signing.SignatureHeader))
		standard, err := standardwebhooks.NewWebhookRaw([]byte(step.signs))
		if strings.HasPrefix(step.signs, "whsec_") {
			standard, err = standardwebhooks.NewWebhook(step.signs)
		}
		require.NoError(t, err)
		require.NoError(t, standard.Verify(body, header))
	}
}
