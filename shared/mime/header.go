package mime

import (
	"bytes"
	"fmt"
	stdmime "mime"
	netmail "net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding"

	"mailroom/shared/mail"
)

// field is one header field, unfolded, in valid UTF-8, not yet decoded.
type field struct {
	name  string // as written
	value string
}

// readHeader reads the fields up to the first empty line. A line that is no field
// ends the header as well and belongs to the body, so that nothing of a mail that
// lost its empty line is lost.
func readHeader(raw []byte, charset encoding.Encoding) ([]field, []byte, error) {
	var fields []field
	whole := len(raw)
	for len(raw) > 0 {
		if whole-len(raw) > MaxHeader {
			return nil, nil, &Malformed{Reason: "a header is longer than 2 MiB"}
		}
		line, rest := cutLine(raw)
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			return fields, rest, nil
		}
		name, value, ok := fieldLine(line)
		if !ok {
			return fields, raw, nil
		}
		if len(fields) == MaxFields {
			return nil, nil, &Malformed{Reason: "a header has more than 1,000 fields"}
		}
		value, rest = unfold(value, rest)
		if limit := maxValue(name); len(value) > limit {
			return nil, nil, &Malformed{Reason: fmt.Sprintf("a header field is longer than %d KiB", limit>>10)}
		}
		fields = append(fields, field{name: name, value: fieldText(value, charset)})
		raw = rest
	}
	return fields, nil, nil
}

// maxValue is the bound of a field: a mail to thousands has a long To.
func maxValue(name string) int {
	switch strings.ToLower(name) {
	case "to", "cc", "bcc", "reply-to", "from", "resent-to", "resent-cc":
		return MaxAddressField
	default:
		return MaxField
	}
}

// fieldLine splits the first line of a field at its colon. Blanks before the colon
// are tolerated (RFC 5322 §4.5).
func fieldLine(line []byte) (name string, value []byte, ok bool) {
	head, value, found := bytes.Cut(line, []byte(":"))
	head = bytes.TrimRight(head, " \t")
	if !found || len(head) == 0 || len(head) > 256 {
		return "", nil, false
	}
	for _, c := range head {
		if c <= ' ' || c >= 0x7f {
			return "", nil, false
		}
	}
	return string(head), bytes.TrimSpace(value), true
}

// unfold appends the continuation lines (RFC 5322 §2.2.3), each with one blank for
// the white space at its start.
func unfold(value, rest []byte) ([]byte, []byte) {
	own := false
	for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
		line, after := cutLine(rest)
		more := bytes.TrimSpace(line)
		rest = after
		if len(more) == 0 {
			continue
		}
		if !own {
			value = append(make([]byte, 0, 2*len(value)+len(more)), value...)
			own = true
		}
		if len(value) > 0 {
			value = append(value, ' ')
		}
		value = append(value, more...)
	}
	return value, rest
}

// fieldText gives a field's bytes as text: UTF-8 (RFC 6532) or, for senders that
// break the rules, Windows-1252.
func fieldText(value []byte, charset encoding.Encoding) string {
	if charset != nil {
		return reread(value, charset)
	}
	if utf8.Valid(value) {
		return string(value)
	}
	if s, ok := convert("windows-1252", value); ok {
		return s
	}
	return strings.ToValidUTF8(string(value), "\uFFFD")
}

// get gives the first value of a field, empty when there is none.
func (e *entity) get(name string) string { return first(e.fields, name) }

func first(fields []field, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// decodeWords decodes the encoded words of RFC 2047; text that has none, or of an
// unknown character set, stays as it is.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return clean(s)
	}
	if decoded, err := wordDecoder().DecodeHeader(s); err == nil {
		s = decoded
	}
	return clean(s)
}

func wordDecoder() *stdmime.WordDecoder {
	return &stdmime.WordDecoder{CharsetReader: charsetReader}
}

// message reads the mail's own header.
func message(fields []field) (mail.Message, int) {
	m := mail.Message{
		MessageID: messageID(first(fields, "message-id")),
		Subject:   decodeWords(first(fields, "subject")),
		From:      addresses(fields, "from"),
		To:        addresses(fields, "to"),
		Cc:        addresses(fields, "cc"),
		ReplyTo:   addresses(fields, "reply-to"),
		Date:      date(first(fields, "date")),
		Headers:   make([]mail.Header, 0, len(fields)),
	}
	received := 0
	for _, f := range fields {
		if strings.EqualFold(f.name, "received") {
			received++
		}
		m.Headers = append(m.Headers, mail.Header{Name: f.name, Value: decodeWords(f.value)})
	}
	return m, received
}

// messageID gives the identifier with its angle brackets (RFC 5322 §3.6.4), or
// what stands there when it has none.
func messageID(value string) string {
	if open := strings.IndexByte(value, '<'); open >= 0 {
		if length := strings.IndexByte(value[open:], '>'); length > 0 {
			return clean(value[open : open+length+1])
		}
	}
	return clean(strings.TrimSpace(value))
}

func date(value string) time.Time {
	if value == "" {
		return time.Time{}
	}
	t, err := netmail.ParseDate(value)
	if err != nil {
		if t, err = netmail.ParseDate(strings.TrimSpace(stripComments(value))); err != nil {
			return time.Time{}
		}
	}
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
