package inspection_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"mailroom/shared/contract"
	"mailroom/shared/inspection"
	"mailroom/shared/mail"
	"mailroom/shared/mime"
	"mailroom/shared/mime/mimetest"
	"mailroom/shared/scantest"
)

// inspected is the outcome of inspecting the attachments that the parser finds, without
// the scan of the raw mail.
type inspected struct {
	infected bool
	held     bool // for a defect of the mail or by the examination
	files    []string
}

func inspectMail(t *testing.T, raw string) inspected {
	t.Helper()
	parsed, err := mime.Parse([]byte(raw))
	require.NoError(t, err)
	examiner, err := inspection.New(inspection.Config{})
	require.NoError(t, err)
	scanner := inspection.NewBuiltIn(inspection.Limits{})
	out := inspected{held: parsed.Malformed != nil}
	scan := func(content []byte) {
		verdict, _, err := scanner.Scan(t.Context(), bytes.NewReader(content))
		require.NoError(t, err)
		out.infected = out.infected || verdict == mail.Infected
		out.held = out.held || verdict != mail.Clean
	}
	look := examiner.Begin()
	for _, a := range parsed.Attachments {
		_, inner, holds, err := look(t.Context(), a)
		require.NoError(t, err)
		out.held = out.held || len(holds) > 0
		scan(a.Content)
		for _, part := range inner {
			scan(part)
		}
		out.files = append(out.files, a.Filename)
	}
	scan([]byte(parsed.Message.Text))
	scan([]byte(parsed.Message.HTML))
	return out
}

// TestDisguisedMalwareIsFound: malware in an archive is found whatever trick hides it
// from some programs; in an attached message, plain or in base64, it is found or held.
func TestDisguisedMalwareIsFound(t *testing.T) {
	t.Parallel()
	zipped := scantest.Zip(t, scantest.File{Name: "t.com", Content: scantest.EICAR()})
	for name, raw := range mimetest.Disguises(zipped) {
		for where, outer := range map[string]string{
			"mail": raw,
			"attached": "Subject: x\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n" +
				"Content-Type: message/rfc822\r\n\r\n" + raw + "\r\n--outer--\r\n",
			"encoded": "Subject: x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
				base64.StdEncoding.EncodeToString([]byte(raw)),
			"LF": strings.ReplaceAll(raw, "\r\n", "\n"),
		} {
			got := inspectMail(t, outer)
			require.True(t, got.held, "%s: %s: %q", name, where, got.files)
			if where == "mail" || where == "LF" {
				require.True(t, got.infected, "%s: %s: %q", name, where, got.files)
			}
		}
	}
	harmless := scantest.Zip(t, scantest.File{Name: "t.txt", Content: bytes.Repeat([]byte("harmless"), 10)})
	require.Equal(t, inspected{files: []string{"report.zip"}}, inspectMail(t, mimetest.Disguises(harmless)["none"]))
}

// TestMalwareBeyondABoundIsHeld: content beyond a limit of the parser, or in a fragment
// of a mail, is found or held.
func TestMalwareBeyondABoundIsHeld(t *testing.T) {
	t.Parallel()
	zipped := scantest.Zip(t, scantest.File{Name: "t.com", Content: scantest.EICAR()})
	for name, raw := range mimetest.Beyond(zipped) {
		require.True(t, inspectMail(t, raw).held, name)
		attached := inspectMail(t, "Subject: x\r\nContent-Type: message/rfc822\r\n\r\n"+raw)
		require.True(t, attached.held, "%s, attached", name)
	}
	_, reasons := examine(t, inspection.Config{}, mail.Attachment{
		DeclaredSize: -1, ContentType: "message/rfc822", Content: []byte(mimetest.Beyond(zipped)["depth"]),
	})
	require.Equal(t, []contract.Reason{contract.Unscannable}, reasons)
}
