package webhook

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/config"
	"mailroom/shared/signing"
)

// TestNothingUnauthenticIsAccepted: whatever a provider's answers are, what is not
// authentic is refused and leaves nothing.
func TestNothingUnauthenticIsAccepted(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	g := gzip.NewWriter(&bomb)
	_, err := g.Write(bytes.Repeat([]byte("0"), 26<<20))
	require.NoError(t, err)
	require.NoError(t, g.Close())
	for _, column := range []string{"mailparse", "standard-webhooks", "mailgun", "postmark", "sendgrid", "ses", "cloudmailin"} {
		d := openIngress(t, func(c *config.Source) {
			c.Answers, c.Encodings, c.SignatureHeader = column, []string{"gzip", "deflate"}, "X-Signature"
			c.Schemes = []string{"timestamp-hmac", "standard-webhooks", "bearer", "timestamp-hmac-header", "basic"}
			c.Secrets = nil
			for scheme, text := range map[string]string{
				"timestamp-hmac": testSecret, "bearer": "tok", "basic": "u:p", "timestamp-hmac-header": "h",
				"standard-webhooks": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
			} {
				c.Secrets = append(c.Secrets, config.KeyRef{Key: config.NewSecret(text), Scheme: scheme})
			}
		})
		for _, body := range []string{"", "{}", "{", mailOf("a"), "\x00", bomb.String()} {
			wrong, both := sign([]byte(body)), sign([]byte(body))
			wrong.Set(signing.SignatureHeader, strings.Repeat("0", 64))
			both.Set("Authorization", "Bearer tok")
			for i, h := range []http.Header{
				wrong, both,
				{"Content-Type": {"application/json"}, "Authorization": {"Bearer tok", "Basic dTpw"}},
				{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + testSecret}},
				{"Content-Type": {"application/json"}},
			} {
				for _, encoding := range []string{"", "gzip", "deflate", "gzip, gzip", "br"} {
					h := h.Clone()
					if encoding != "" {
						h.Set("Content-Encoding", encoding)
					}
					got := d.post(t, h, strings.NewReader(body), int64(len(body)))
					require.GreaterOrEqual(t, got.status, 400, "%s %d %q", column, i, encoding)
				}
			}
		}
		require.Empty(t, d.workflows.IDs())
		require.Zero(t, d.bodies.Size())
		require.Zero(t, d.ledger.Size())
		require.NotContains(t, d.log.String(), "event.received")
	}
}
