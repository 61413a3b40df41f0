package mime

import (
	"bytes"
	stdmime "mime"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
)

// read gives a text body as toText does, unless the character set is given.
func (c *collector) read(b []byte, declared string, html bool) string {
	if c.charset == nil {
		return toText(b, declared, html)
	}
	switch charsetLabel(declared) {
	case "utf-8", "utf8", "unicode-1-1-utf-8", "utf8mb4":
		if utf8.Valid(b) && !ascii(b) {
			return toText(b, declared, html)
		}
	}
	return strings.ReplaceAll(decode(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), c.charset), "\r\n", "\n")
}

// decode gives bytes of a character set as UTF-8 without NUL.
func decode(b []byte, charset encoding.Encoding) string {
	out, err := charset.NewDecoder().Bytes(b)
	if err != nil { // decoders replace what they cannot read; this is one more way to say so
		return clean(string(b))
	}
	return clean(string(out))
}

func ascii(b []byte) bool {
	return bytes.IndexFunc(b, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// encodedWord is one of RFC 2047 §2.
var encodedWord = regexp.MustCompile(`=\?[^?=\s]{1,64}\?[bBqQ]\?[^?\s]*\?=`)

// reread gives the value of a field with its bytes above ASCII read by charset, and
// the encoded words as well whose own character set is unknown or not theirs.
func reread(value []byte, charset encoding.Encoding) string {
	text := string(value)
	if !utf8.Valid(value) {
		text = decode(value, charset)
	}
	return encodedWord.ReplaceAllStringFunc(text, func(word string) string {
		if decoded, err := wordDecoder().Decode(word); err == nil && utf8.ValidString(decoded) && !strings.Contains(decoded, "\uFFFD") {
			return word
		}
		kind := word[2:]
		_, kind, _ = strings.Cut(kind, "?")
		// Latin-1 gives each byte as the character of the same number.
		latin, err := wordDecoder().Decode("=?iso-8859-1?" + kind)
		if err != nil {
			return word
		}
		b := make([]byte, 0, len(latin))
		for _, r := range latin {
			b = append(b, byte(r)) //nolint:gosec // at most 0xff
		}
		return stdmime.BEncoding.Encode("utf-8", decode(b, charset))
	})
}
