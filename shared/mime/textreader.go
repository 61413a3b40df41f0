package mime

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// textReader turns the bytes of a mail into text.
type textReader struct {
	charset encoding.Encoding // nil: as the mail declares
	hint    string            // the character set of the first text; empty: none or ASCII
}

// fieldText returns bytes of a header as text: UTF-8 (RFC 6532) or, if a sender breaks
// the rules, by the character set of the body, otherwise by a detected one, otherwise by
// Windows-1252.
func (r *textReader) fieldText(value string) string {
	if r.charset != nil {
		if !utf8.ValidString(value) {
			return decode([]byte(value), r.charset)
		}
		return value
	}
	escapes := strings.HasPrefix(r.hint, "iso-2022") && strings.Contains(value, "\x1b")
	if utf8.ValidString(value) && !escapes {
		return value
	}
	if text, ok := convert(r.hint, []byte(value)); ok && whole(text) {
		return text
	}
	if text, ok := convert(detect([]byte(value), false), []byte(value)); ok && whole(text) {
		return text
	}
	return decode([]byte(value), charmap.Windows1252)
}

// words decodes a field: its bytes, then its encoded words.
func (r *textReader) words(value string) string {
	return decodeField(value, r.charset, r.fieldText)
}

// bodyText returns a text body as toText does, unless Options set the character set.
func (r *textReader) bodyText(b []byte, declared string, html bool) string {
	if r.charset == nil || isUTF8(charsetLabel(declared)) && utf8.Valid(b) && !ascii(b) {
		text, _ := toText(b, declared, html)
		return text
	}
	return strings.ReplaceAll(decode(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), r.charset), "\r\n", "\n")
}

// decodeName decodes a file name by the character set that it names, if any.
func (r *textReader) decodeName(value, charset string) string {
	if charset = charsetLabel(charset); charset != "" {
		if text, ok := convert(charset, []byte(value)); ok {
			return decodeWordsBy(clean(text), r.charset)
		}
	}
	return r.words(value)
}
