package mime

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/jhillyerd/enmime/v2"
	"golang.org/x/text/encoding/htmlindex"
)

var metaCharset = regexp.MustCompile(`(?i)<meta[^>]{0,200}charset\s*=\s*["']?\s*([a-z0-9_.:-]{1,64})`)

// encoding is the content transfer encoding, lower case, without comments.
func (e *entity) encoding() string {
	return strings.ToLower(strings.Trim(stripComments(e.get("content-transfer-encoding")), " \t\";"))
}

// identity reports whether an encoding leaves the bytes as they are. An unknown
// one does: its bytes are kept as they came (RFC 2045 §6.4).
func identity(encoding string) bool {
	return encoding != "base64" && encoding != "quoted-printable"
}

// content gives the bytes of a leaf with the transfer encoding undone.
func (e *entity) content() []byte {
	switch e.encoding() {
	case "base64":
		return decodeBase64(e.body)
	case "quoted-printable":
		return decodeQuotedPrintable(e.body)
	default:
		return e.body
	}
}

// decodeBase64 ignores everything outside of the alphabet and takes the first pad
// character as the end (RFC 2045 §6.8): mailing lists add lines behind it.
func decodeBase64(body []byte) []byte {
	if i := bytes.IndexByte(body, '='); i >= 0 {
		body = body[:i]
	}
	chars := make([]byte, 0, len(body))
	for _, c := range body {
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' {
			chars = append(chars, c)
		}
	}
	if len(chars)%4 == 1 {
		chars = chars[:len(chars)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(chars)))
	n, err := base64.RawStdEncoding.Decode(out, chars)
	if err != nil {
		return []byte{} // cannot be: every character is in the alphabet
	}
	return out[:n]
}

// decodeQuotedPrintable follows RFC 2045 §6.7 and keeps what breaks it as it came:
// an equals sign without two digits, bytes that should have been encoded, lines of
// any length. Blanks at the end of a line are transport padding and go.
func decodeQuotedPrintable(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for len(body) > 0 {
		line, end := body, 0
		if i := bytes.IndexByte(body, '\n'); i >= 0 {
			end = 1
			if i > 0 && body[i-1] == '\r' {
				end = 2
			}
			line = body[:i+1-end]
		}
		lineBreak := body[len(line) : len(line)+end]
		body = body[len(line)+end:]
		line = bytes.TrimRight(line, " \t")
		soft := bytes.HasSuffix(line, []byte("="))
		if soft {
			line = line[:len(line)-1]
		}
		out = appendUnquoted(out, line)
		if !soft {
			out = append(out, lineBreak...)
		}
	}
	return out
}

func appendUnquoted(out, line []byte) []byte {
	for {
		i := bytes.IndexByte(line, '=')
		if i < 0 {
			return append(out, line...)
		}
		out = append(out, line[:i]...)
		line = line[i:]
		var b [1]byte
		if len(line) < 3 {
			return append(out, line...)
		}
		if _, err := hex.Decode(b[:], line[1:3]); err != nil {
			out = append(out, '=')
			line = line[1:]
			continue
		}
		out = append(out, b[0])
		line = line[3:]
	}
}

// leaf lets enmime read one body under a header of ours.
func leaf(header string, body []byte) (*enmime.Part, error) {
	parser := enmime.NewParser(
		enmime.DisableTextConversion(true),
		enmime.DisableCharacterDetection(true), // of a declared character set
		enmime.MaxStoredPartErrors(8),
		enmime.MultipartWOBoundaryAsSinglePart(true),
	)
	part, err := parser.ReadParts(io.MultiReader(strings.NewReader(header), bytes.NewReader(body)))
	if err != nil {
		return nil, fmt.Errorf("decode part: %w", err)
	}
	return part, nil
}

// convert turns bytes of a character set into UTF-8. An empty charset is detected.
// It reports whether it could.
func convert(charset string, b []byte) (string, bool) {
	param := ""
	if charset != "" {
		param = `; charset="` + charset + `"`
	}
	part, err := leaf("Content-Type: text/plain"+param+"\r\n\r\n", b)
	if err != nil {
		return "", false
	}
	for _, e := range part.Errors {
		if e.Name == enmime.ErrorCharsetConversion {
			return "", false
		}
	}
	// The encodings that browsers refuse become one replacement character.
	if string(part.Content) == "\uFFFD" && len(b) > 1 {
		return "", false
	}
	return string(part.Content), utf8.Valid(part.Content)
}

// charsetReader serves the encoded words of RFC 2047, of which a header may hold
// tens of thousands: the usual character sets without the detour of convert.
func charsetReader(charset string, input io.Reader) (io.Reader, error) {
	label := charsetLabel(charset)
	if e, err := htmlindex.Get(label); err == nil {
		return e.NewDecoder().Reader(input), nil
	}
	b, err := io.ReadAll(input)
	if err != nil {
		return nil, fmt.Errorf("read encoded word: %w", err)
	}
	if s, ok := convert(label, b); ok && label != "" {
		return strings.NewReader(s), nil
	}
	return nil, errors.New("decode encoded word: unknown character set")
}

// charsetLabel gives a character set's name in lower case, empty when it is none.
func charsetLabel(charset string) string {
	charset = strings.ToLower(strings.Trim(charset, " \t\"'"))
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 §5: a language may follow
	if len(charset) > 64 {
		return ""
	}
	if strings.Trim(charset, "abcdefghijklmnopqrstuvwxyz0123456789-_.:+") != "" {
		return ""
	}
	return charset
}

// toText gives a text body in UTF-8 with LF line ends: by its declared character
// set; else as UTF-8 if it is that; else by what the HTML says or detection finds;
// else as Windows-1252, of which every byte means something.
func toText(b []byte, charset string, html bool) string {
	return strings.ReplaceAll(clean(unicodeText(b, charsetLabel(charset), html)), "\r\n", "\n")
}

func unicodeText(b []byte, label string, html bool) string {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	switch label {
	case "utf-8", "utf8", "unicode-1-1-utf-8", "utf8mb4":
		return string(b)
	case "", "us-ascii", "ascii", "ansi_x3.4-1968":
		if utf8.Valid(b) && !bytes.Contains(b, []byte("\x1b$")) { // ISO-2022 looks like ASCII
			return string(b)
		}
	default:
		if s, ok := convert(label, b); ok {
			return s
		}
		if utf8.Valid(b) {
			return string(b)
		}
	}
	if html {
		if m := metaCharset.FindSubmatch(b[:min(len(b), 4096)]); m != nil {
			if s, ok := convert(charsetLabel(string(m[1])), b); ok {
				return s
			}
		}
	}
	if s, ok := convert("", b); ok {
		return s
	}
	s, _ := convert("windows-1252", b)
	return s
}

// clean makes s valid UTF-8 without NUL, the invariant of package mail.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
