package console

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/mail"
)

// TestWhatTheProviderSaidIsShownAsSuch: and as text, whatever it is.
func TestWhatTheProviderSaidIsShownAsSuch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := b.emails.emails[0]
	e.Reported = mail.Reported{
		Auth: mail.Auth{SPF: "fail", DKIM: "<script>alert(1)</script>", DMARC: "pass"}, Type: "email.received", Timestamp: at, Mailbox: "a@b.example",
	}
	e.PossibleDuplicateOf = `evt"><script>&x=1`
	rec := b.get(t, root, "/emails/"+e.EventID)
	require.Equal(t, http.StatusOK, rec.Code)
	page := rec.Body.String()
	require.Contains(t, page, "SPF fail")
	require.Contains(t, page, "DKIM &lt;script&gt;")
	require.Contains(t, page, "time 2026-11-25T08:00:00Z")
	require.Contains(t, page, "mailbox a@b.example")
	require.Contains(t, page, "not verified")
	require.Contains(t, page, `href="/emails?q=evt%22%3e%3cscript%3e%26x%3d1"`)
	require.NotContains(t, page, "<script>alert")

	page = b.get(t, root, "/emails/"+b.emails.emails[1].EventID).Body.String()
	require.NotContains(t, page, "not verified")
	require.NotContains(t, page, "Same Message-ID")
}
