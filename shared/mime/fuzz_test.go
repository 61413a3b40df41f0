package mime

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"mailroom/shared/mail"
	"mailroom/shared/mime/filename"
)

// FuzzParse parses without the guard, so that a panic fails the test.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.eml")
	require.NoError(f, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add([]byte(nested(40, plainDeclaration)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		start := time.Now()
		parsed, err := parse(raw, Options{})
		if spent := time.Since(start); len(raw) <= 1<<20 && spent > 5*time.Second {
			t.Fatalf("%d bytes took %s", len(raw), spent)
		}
		if err != nil {
			var malformed *Malformed
			require.ErrorAs(t, err, &malformed)
			require.NotEmpty(t, malformed.Reason)
			require.Nil(t, parsed)
			return
		}
		checkParsed(t, parsed)
	})
}

// FuzzQuotedPrintable compares with the standard library, which refuses more.
func FuzzQuotedPrintable(f *testing.F) {
	for _, s := range []string{"", "=", "a=\n", "=\r\n", "a \t\r\nb", "=41=4", "=zz", "=e9=E9", "a= \nb", "\x00=3D", "a\r\n\r", " =\n ="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := decodeQuotedPrintable(body)
		require.LessOrEqual(t, len(got), len(body))
		want, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
		if err == nil && !bytes.ContainsRune(body, '\r') {
			require.Equal(t, string(want), string(got))
		}
	})
}

func checkParsed(t *testing.T, parsed *Parsed) {
	t.Helper()
	m := parsed.Message
	texts := []string{m.MessageID, m.Subject, m.Text, m.HTML}
	for _, list := range [][]mail.Address{m.From, m.To, m.Cc, m.ReplyTo} {
		for _, a := range list {
			texts = append(texts, a.Name, a.Address)
		}
	}
	for _, h := range m.Headers {
		texts = append(texts, h.Name, h.Value)
	}
	require.LessOrEqual(t, len(m.Headers), MaxFields)
	require.LessOrEqual(t, len(parsed.Attachments), MaxParts)
	for _, a := range parsed.Attachments {
		texts = append(texts, a.Filename, a.ContentType, a.ContentID)
		require.Equal(t, filename.Clean(a.Filename, ""), a.Filename)
		require.NotNil(t, a.Content)
		require.Equal(t, int64(len(a.Content)), a.Size)
		require.Len(t, a.SHA256, 64)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Fatalf("not clean text: %q", s)
		}
	}
	if !m.Date.IsZero() {
		require.Equal(t, time.UTC, m.Date.Location())
		_, err := m.Date.MarshalJSON()
		require.NoError(t, err)
	}
}
