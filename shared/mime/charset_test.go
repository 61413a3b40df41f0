package mime

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
)

func TestParseWithCharset(t *testing.T) {
	t.Parallel()
	koi8, err := charmap.KOI8R.NewEncoder().String("Привет")
	require.NoError(t, err)
	jis, err := japanese.ISO2022JP.NewEncoder().String("こんにちは")
	require.NoError(t, err)
	part := func(contentType, body string) string {
		return "Subject: x\r\nContent-Type: " + contentType + "\r\n\r\n" + body
	}
	for name, c := range map[string]struct {
		raw     string
		charset encoding.Encoding
		text    string
		subject string
	}{
		"latin-1 declared as utf-8":  {part("text/plain; charset=utf-8", "caf\xe9"), charmap.ISO8859_1, "café", "x"},
		"nothing declared":           {part("text/plain", koi8), charmap.KOI8R, "Привет", "x"},
		"wrong label":                {part("text/plain; charset=iso-8859-1", koi8), charmap.KOI8R, "Привет", "x"},
		"utf-8 declared as latin-1":  {part("text/plain; charset=iso-8859-1", "caf\xc3\xa9"), unicode.UTF8, "café", "x"},
		"seven bits declared utf-8":  {part("text/plain; charset=utf-8", jis), japanese.ISO2022JP, "こんにちは", "x"},
		"true utf-8 stays":           {part("text/plain; charset=utf-8", "caf\xc3\xa9"), charmap.KOI8R, "café", "x"},
		"unknown label":              {part("text/plain; charset=x-unknown", koi8), charmap.KOI8R, "Привет", "x"},
		"header bytes":               {"Subject: " + koi8 + "\r\n\r\nx", charmap.KOI8R, "x", "Привет"},
		"word of unknown charset":    {"Subject: =?x-unknown?Q?" + "caf=E9" + "?=\r\n\r\nx", charmap.ISO8859_1, "x", "café"},
		"word with a wrong label":    {"Subject: =?utf-8?Q?caf=E9?= =?utf-8?B?4pyT?=\r\n\r\nx", charmap.ISO8859_1, "x", "café✓"},
		"word that is what it says":  {"Subject: =?utf-8?Q?caf=C3=A9?=\r\n\r\nx", charmap.KOI8R, "x", "café"},
		"nothing in it is beyond us": {"Subject: x\r\n\r\n\x81\x00\xff", charmap.Windows1252, "\uFFFD\uFFFDÿ", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := ParseWith([]byte(c.raw), Options{Charset: c.charset})
			require.NoError(t, err)
			require.Equal(t, c.text, parsed.Message.Text)
			require.Equal(t, c.subject, parsed.Message.Subject)
			checkParsed(t, parsed)
		})
	}
}

func TestCharsetChangesNoAttachment(t *testing.T) {
	t.Parallel()
	raw := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ncaf\xe9\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Disposition: attachment; filename=a.txt\r\n\r\ncaf\xe9\r\n--b--\r\n"
	parsed, err := ParseWith([]byte(raw), Options{Charset: charmap.ISO8859_1})
	require.NoError(t, err)
	require.Equal(t, "café", parsed.Message.Text)
	require.Len(t, parsed.Attachments, 1)
	require.Equal(t, "caf\xe9", string(parsed.Attachments[0].Content))
}

// FuzzEncodedWords decodes with and without a fallback character set.
func FuzzEncodedWords(f *testing.F) {
	f.Add("=?utf-8?q?caf=E9?= \xe9 =?x?b?"+strings.Repeat("A", 100)+"?=", uint8(0))
	f.Add("=?utf-8?B?UsO8Y2tydWY?=\t=?UTF-8?b?IGJpdHRl=?=", uint8(1))
	f.Add("=?utf-8?Q?a=?==?utf-8?Q?C3=A9?=", uint8(2))
	f.Add("=?unicode-1-1-utf-7?Q?+ANw-ber (x)?= =?utf-7?Q?+2D3?=", uint8(3))
	charsets := []encoding.Encoding{charmap.ISO8859_1, charmap.KOI8R, japanese.ISO2022JP, japanese.ShiftJIS, unicode.UTF8}
	f.Fuzz(func(t *testing.T, value string, which uint8) {
		for _, got := range []string{decodeWords(value), decodeWordsBy(value, charsets[int(which)%len(charsets)])} {
			require.True(t, utf8.ValidString(got))
			require.NotContains(t, got, "\x00")
		}
		if utf8.ValidString(value) && !strings.Contains(value, "=?") && !strings.Contains(value, "\x00") {
			require.Equal(t, value, decodeWords(value))
		}
	})
}

// TestEqualCandidatesAreChosenAlike: the detector tests each character set in its own
// goroutine. Of two equally likely ones, the first to answer must not decide.
func TestEqualCandidatesAreChosenAlike(t *testing.T) {
	t.Parallel()
	for range 2000 {
		require.Equal(t, "iso-8859-8-i", detect([]byte("\xe5\xe0 \xe5\xe0\xf2\xc5\xf0\xe0\xf2\xcf \xcf\xe0"), false))
	}
}
