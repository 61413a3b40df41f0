package mime

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/mail"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden is the expected result of a sample, with the hash instead of the content.
type golden struct {
	Malformed   string            `json:"malformed,omitempty"`
	Received    int               `json:"received,omitempty"`
	Message     *mail.Message     `json:"message,omitempty"`
	Attachments []mail.Attachment `json:"attachments,omitempty"`
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".eml"))
	require.NoError(t, err)
	return raw
}

func result(t testing.TB, raw []byte) golden {
	t.Helper()
	parsed, err := Parse(raw)
	if err != nil {
		var malformed *Malformed
		require.ErrorAs(t, err, &malformed)
		require.Nil(t, parsed)
		return golden{Malformed: malformed.Reason}
	}
	out := golden{Received: parsed.Received, Message: &parsed.Message, Attachments: parsed.Attachments}
	if parsed.Malformed != nil {
		out.Malformed = parsed.Malformed.Reason
	}
	return out
}

func TestParseGivesTheGoldenResult(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.eml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 30)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.MarshalIndent(result(t, sample(t, name)), "", "  ")
			require.NoError(t, err)
			path := filepath.Join("testdata", name+".golden.json")
			if *update {
				require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o600))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(got))
		})
	}
}

func TestLineEndsAndPrefixesMakeNoDifference(t *testing.T) {
	t.Parallel()
	want := result(t, sample(t, "plain_crlf"))
	require.Equal(t, "Printer on the third floor", want.Message.Subject)
	require.Equal(t, 2, want.Received)
	require.Equal(t, time.Date(2026, 11, 2, 9, 15, 0, 0, time.UTC), want.Message.Date)
	for _, name := range []string{"plain_lf", "cr_only", "byte_order_mark", "mbox_from"} {
		require.Equal(t, want, result(t, sample(t, name)), name)
	}
}

func TestInlineImageKeepsItsBytesAndID(t *testing.T) {
	t.Parallel()
	got := result(t, sample(t, "inline_cid_image"))
	require.Len(t, got.Attachments, 1)
	a := got.Attachments[0]
	require.Equal(t, "logo+1@sender.example", a.ContentID)
	require.Contains(t, got.Message.HTML, "cid:"+a.ContentID)
	require.Equal(t, "\x89PNG\r\n\x1a\n", string(a.Content[:8]))
	require.Equal(t, int64(len(a.Content)), a.Size)
	require.Equal(t, int64(-1), a.DeclaredSize)
}

func TestEmptyAttachmentHasContentOfNoBytes(t *testing.T) {
	t.Parallel()
	for _, a := range result(t, sample(t, "nested_multipart")).Attachments {
		if a.Filename == "empty.bin" {
			require.NotNil(t, a.Content)
			require.Zero(t, a.Size)
			require.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", a.SHA256)
			return
		}
	}
	t.Fatal("the empty attachment is missing")
}

func TestLongRecipientListIsRead(t *testing.T) {
	t.Parallel()
	raw := "From: a@sender.example\r\nTo: " +
		strings.Repeat("someone <someone@yourapp.example>,\r\n ", 10_000) + "last@yourapp.example\r\n\r\nhello"
	got := result(t, []byte(raw))
	require.Empty(t, got.Malformed)
	require.Len(t, got.Message.To, 10_001)
}

// What exceeds a limit is dropped; what comes before it, and the body, is kept.
func TestHeaderBeyondALimitKeepsTheRestOfTheMail(t *testing.T) {
	t.Parallel()
	const around = "Subject: kept\nFrom: a@sender.example\n%sContent-Type: text/plain; charset=koi8-r\n\n\xf0\xd2\xc9\xd7\xc5\xd4"
	within := func(fields string) golden {
		got := result(t, fmt.Appendf(nil, around, fields))
		require.Equal(t, "Привет", got.Message.Text, "the fields behind decide how the body is read")
		require.Equal(t, "kept", got.Message.Subject)
		require.LessOrEqual(t, len(got.Message.Headers), MaxFields+1)
		require.Equal(t, got.Malformed != "", slices.Contains(got.Message.Defects, DefectBound))
		return got
	}
	require.Empty(t, within(strings.Repeat("X-A: b\n", MaxFields-3)).Malformed)
	require.Contains(t, within(strings.Repeat("X-A: b\n", MaxFields-2)).Malformed, "1,000 fields")
	require.Contains(t, within(strings.Repeat("X-A: b\n", 100*MaxFields)).Malformed, "1,000 fields")

	long := func(name string, n int) string { return name + ": " + strings.Repeat("x", n) + "\n" }
	require.Empty(t, within(long("References", MaxField)).Malformed)
	require.Contains(t, within(long("References", MaxField+1)).Malformed, "256 KiB")
	require.Contains(t, within(long("To", MaxAddressField+1)).Malformed, "1024 KiB")
	folded := "X-A: " + strings.Repeat("x\n ", MaxField/2+1) + "\n"
	require.Contains(t, within(folded).Malformed, "256 KiB")
	require.Contains(t, within(strings.Repeat(long("X-A", MaxField-8), MaxHeader/MaxField+2)).Malformed, "2 MiB")
	require.Empty(t, within(long("References", 70<<10)).Malformed)
}

func TestParametersBeyondALimitKeepTheRestOfTheMail(t *testing.T) {
	t.Parallel()
	raw := func(n int) []byte {
		return []byte("Content-Type: multipart/mixed; boundary=b" + strings.Repeat("; a=b", n) + "\n\n--b\n\nhello\n--b--\n")
	}
	require.Empty(t, result(t, raw(MaxParams-1)).Malformed)
	got := result(t, raw(MaxParams))
	require.Contains(t, got.Malformed, "1,000 parameters")
	require.Equal(t, "hello", got.Message.Text)
}

func TestMalformedIsFoundByType(t *testing.T) {
	t.Parallel()
	_, err := Parse(nil)
	var malformed *Malformed
	require.ErrorAs(t, err, &malformed)
	require.EqualError(t, err, "mail is malformed: it is empty")
}

func TestPanicOfADecoderIsMalformed(t *testing.T) {
	t.Parallel()
	parsed, err := guard(func() (*Parsed, error) { panic("decoder") })
	var malformed *Malformed
	require.ErrorAs(t, err, &malformed)
	require.Nil(t, parsed)
	require.NotContains(t, malformed.Reason, "decoder")
}

// nested returns n multiparts inside one another, none of them closed. declare returns
// the header fields of level i.
func nested(n int, declare func(i int) string) string {
	var b strings.Builder
	b.WriteString("From: a@sender.example\nSubject: nested\nMIME-Version: 1.0\n" + declare(0) + "\n\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "--b%d-\n%s\n\n", i-1, declare(i))
	}
	fmt.Fprintf(&b, "--b%d-\nContent-Type: text/plain\n\nhello\n", n-1)
	return b.String()
}

func plainDeclaration(i int) string {
	return fmt.Sprintf("Content-Type: multipart/mixed; boundary=\"b%d-\"", i)
}

func TestDelimiterIsAWholeLine(t *testing.T) {
	t.Parallel()
	raw := "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsee --b\nand --b--\n --b\n--b--\nnothing\n"
	require.Equal(t, "see --b\nand --b--\n --b", result(t, []byte(raw)).Message.Text)
}

// An invalid media type is no declaration that an archive could contradict.
func TestAnUnreadableTypeDeclaresNothing(t *testing.T) {
	t.Parallel()
	for declared, want := range map[string]string{
		"Content-Type: ZIP\n": "", "Content-Type: \n": "", "": "", "Content-Type: \"\"; name=a.zip\n": "",
		"Content-Type: text/plain\n": "text/plain", "Content-Type: Application/Zip\n": "application/zip",
	} {
		raw := "Content-Type: multipart/mixed; boundary=b\n\n--b\n" + declared +
			"Content-Disposition: attachment; filename=a.zip\n\nPK\n--b--\n"
		got := result(t, []byte(raw))
		require.Len(t, got.Attachments, 1, declared)
		require.Equal(t, want, got.Attachments[0].ContentType, declared)
		require.Equal(t, "a.zip", got.Attachments[0].Filename, declared)
	}
	got := result(t, []byte("Content-Type: text\n\nstill text to read"))
	require.Equal(t, "still text to read", got.Message.Text)
}
