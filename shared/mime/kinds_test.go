package mime

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/mime/mimetest"
)

// file is the attachment of the mails below: a binary file.
const file = "PK\x03\x04 not really an archive \x00\xff\xfe but bytes that must come out as they went in: 0123456789"

func TestDisguisedAttachmentIsFound(t *testing.T) {
	t.Parallel()
	for name, d := range mimetest.Disguises([]byte(file)) {
		for _, end := range []string{"\r\n", "\n"} {
			raw := strings.ReplaceAll(d, "\r\n", end)
			parsed, err := Parse([]byte(raw))
			require.NoError(t, err, name)
			require.Nil(t, parsed.Malformed, name)
			checkParsed(t, parsed)
			require.Equal(t, "case", parsed.Message.Subject, name)
			require.Equal(t, "support@yourapp.example", parsed.Message.To[0].Address, name)
			require.Contains(t, parsed.Message.Text, "Please see the attachment.", name)
			var found []string
			for _, a := range parsed.Attachments {
				found = append(found, strings.TrimRight(string(a.Content), "\r\n"))
			}
			require.Contains(t, found, file, "%s %q: %q", name, end, found)
			t.Log(name, len(found), parsed.Message.Defects)
		}
	}
}
