package mime

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// field is one header field, unfolded. Its value is as it came: in no character set
// that is known yet, with encoded words.
type field struct {
	name  string // as written, without NUL
	value string
}

// maxBeyond is how many structural fields are kept beyond a bound.
const maxBeyond = 16

// maxParamName is the longest name of a parameter that a repaired line may begin with.
const maxParamName = 41

// paramLine reports whether a line begins as one that continues the parameters of a
// field: a name, which may be numbered as RFC 2231 section 3 says, and an equals sign.
func paramLine(line []byte) bool {
	const blanks, digits = "\t\n\f\r ", "0123456789"
	rest := bytes.TrimLeft(bytes.TrimPrefix(line, []byte(";")), blanks)
	name := 0
	for name < len(rest) && (letter(rest[name]) || name > 0 && strings.IndexByte(digits+"_-", rest[name]) >= 0) {
		name++
	}
	if name == 0 || name > maxParamName {
		return false
	}

	rest = rest[name:]
	if numbered, ok := bytes.CutPrefix(rest, []byte("*")); ok {
		rest = bytes.TrimLeft(numbered, digits)
		if len(numbered)-len(rest) > 4 {
			return false
		}
		rest = bytes.TrimPrefix(rest, []byte("*"))
	}
	return bytes.HasPrefix(bytes.TrimLeft(rest, blanks), []byte("="))
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// paramBegins reports lines that continue parameters; a short line of base64 may look
// like one.
func paramBegins(line []byte) bool {
	return paramLine(line) && !alphabetic(bytes.TrimSpace(line))
}

// structural reports fields that decide how a part is read.
func structural(name string) bool {
	return len(name) > 8 && strings.EqualFold(name[:8], "content-")
}

// knownFields are fields by which a line is told from text that has a colon, beside
// those that begin with Content-, X-, List-, Resent-, ARC- and the like.
var knownFields = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true, "subject": true, "date": true, "sender": true, "reply-to": true,
	"message-id": true, "in-reply-to": true, "references": true, "mime-version": true, "received": true, "return-path": true,
	"delivered-to": true, "dkim-signature": true, "authentication-results": true, "received-spf": true, "thread-topic": true,
	"thread-index": true, "importance": true, "priority": true, "precedence": true, "user-agent": true, "organization": true,
	"auto-submitted": true, "keywords": true, "comments": true, "envelope-to": true, "feedback-id": true, "autocrypt": true,
	"accept-language": true, "errors-to": true, "return-receipt-to": true, "disposition-notification-to": true,
}

func knownField(name string) bool {
	name = strings.ToLower(name)
	for _, prefix := range []string{"content-", "x-", "list-", "resent-", "arc-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return knownFields[name]
}

// header reads one header. Lines that are no fields are repaired as RFC 7103 §7
// prefers: a continuation that lost its blank is joined, another line is left out,
// as long as fields of mail follow before the first empty line. Where none follow,
// the body begins: nothing of a mail that lost its empty line is lost.
type header struct {
	t      *tree
	root   bool // of a mail, not of a part
	raw    []byte
	fields []field
	value  []byte // of the last field, as far as it is read
	limit  int    // bytes of value
	name   string // of the last field; empty: left out
	count  int
	quotes int // quotation marks in value
	looked int // lines that were compared with delimiters
	beyond int // fields kept beyond a bound
	last   int // where the last known field before the empty line begins; -1: none; -2: not looked for
}

// readHeader returns the fields up to the first empty line and what follows it. Of
// what exceeds a bound only the structural fields are kept.
func (t *tree) readHeader(raw []byte, root bool) ([]field, []byte) {
	h := &header{t: t, root: root, raw: raw, last: -2}
	body := h.read()
	h.finish()
	return h.fields, body
}

func (h *header) read() []byte {
	rest := h.raw
	for len(rest) > 0 {
		at := len(h.raw) - len(rest)
		line, after, odd := cutHeaderLine(rest)
		if odd {
			h.t.note(DefectBareCR)
		}
		switch name, value, ok := fieldLine(line); {
		case len(line) == 0:
			return after
		case blank(line):
			h.t.note(DefectBlankLine)
			if !h.goesOn(at, after) {
				return after
			}
		case (line[0] == ' ' || line[0] == '\t') && h.count > 0:
			h.extend(bytes.TrimSpace(line))
		case ok:
			h.odd(name, line)
			h.begin(name, value, at)
		case h.joins(line, at):
			h.t.note(DefectJoinedLine)
			h.extend(bytes.TrimSpace(line))
		case h.delimits(line):
			h.t.note(DefectNoEmptyLine)
			return rest
		case h.count == 0 && h.indented(line, at):
			h.t.note(DefectStrayLine)
		case at < h.lastKnown():
			h.t.note(DefectStrayLine)
		default:
			if h.count > 0 {
				h.t.note(DefectNoEmptyLine)
			}
			return rest
		}
		rest = after
	}

	return nil
}

// odd notes how a structural field is written where programs may not take it for one.
func (h *header) odd(name string, line []byte) {
	if !structural(name) {
		return
	}
	if bytes.IndexByte(line, 0) >= 0 {
		h.t.note(DefectNUL)
	}
	if before := line[bytes.IndexByte(line, ':')-1]; before == ' ' || before == '\t' || before == ')' {
		h.t.note(DefectFieldName)
	}
}

// rejoin reads a part whose header has an empty line too many: behind it stand, in
// front of content that is no text, parameters or fields about the content, and one
// more empty line. Mail programs take them for the header that they are.
func (t *tree) rejoin(raw []byte, fields []field, body []byte) ([]field, []byte) {
	kind, _, _ := strings.Cut(strings.ToLower(first(fields, "content-type")), "/")
	line, _, _ := cutHeaderLine(body)
	name, _, ok := fieldLine(line)
	if kind == "" || kind == "text" || kind == "multipart" || kind == "message" || !paramBegins(line) && (!ok || !structural(name)) {
		return fields, body
	}

	end := bytes.Index(body[:min(len(body), MaxField)], []byte("\n\n"))
	if crlf := bytes.Index(body[:min(len(body), MaxField)], []byte("\n\r\n")); end < 0 || crlf >= 0 && crlf < end {
		end = crlf
	}
	if end < 0 {
		return fields, body
	}

	header := bytes.TrimRight(raw[:len(raw)-len(body)], "\r\n \t")
	more, _ := newTree(0).readHeader(append(append(bytes.Clone(header), '\n'), body[:end+1]...), false)
	if len(more) <= len(fields) {
		return fields, body
	}

	t.note(DefectBlankLine)
	_, body = cutLine(body[end+1:])
	return more, body
}

// begin starts a field.
func (h *header) begin(name string, value []byte, at int) {
	h.finish()
	h.count++
	h.name, h.limit, h.quotes = name, maxValue(name), 0
	kept := structural(name) && h.beyond < maxBeyond
	switch {
	case h.count > MaxFields:
		h.t.exceed("a header has more than 1,000 fields")
	case at > MaxHeader:
		h.t.exceed("a header is longer than 2 MiB")
	default:
		kept = true
	}

	if !kept {
		h.name = ""
		return
	}
	if h.count > MaxFields || at > MaxHeader {
		h.beyond++
	}

	h.extend(value)
}

// extend adds a line to the last field, with one blank between lines (RFC 5322 §2.2.3).
func (h *header) extend(line []byte) {
	if h.name == "" || len(line) == 0 {
		return
	}
	if len(h.value) > 0 {
		h.value = append(h.value, ' ')
	}
	if len(h.value)+len(line) > h.limit {
		h.t.exceed(fmt.Sprintf("a header field is longer than %d KiB", h.limit>>10))
		line = wholeRunes(line[:max(0, h.limit-len(h.value))])
	}
	h.value = append(h.value, line...)
	h.quotes += bytes.Count(line, []byte{'"'})
}

// wholeRunes drops a character of UTF-8 that the end of b cuts.
func wholeRunes(b []byte) []byte {
	for i := 1; i <= min(utf8.UTFMax, len(b)); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

func (h *header) finish() {
	if h.name != "" {
		h.fields = append(h.fields, field{name: h.name, value: string(bytes.TrimSpace(h.value))})
	}
	h.name, h.value = "", h.value[:0]
}

// indented begins a field whose first line is the first of the header and has blanks
// before it, so that it can continue none.
func (h *header) indented(line []byte, at int) bool {
	name, value, ok := fieldLine(bytes.TrimLeft(line, " \t"))
	if ok && (structural(name) || h.root && knownField(name)) {
		h.begin(name, value, at)
		return true
	}
	return false
}

// delimits reports whether a line is the first delimiter of the multipart that the
// header declares: the empty line before it is missing.
func (h *header) delimits(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("--")) || h.looked == maxBoundaries {
		return false
	}
	h.looked++
	fields := append(slices.Clone(h.fields), field{name: h.name, value: string(h.value)})
	for _, f := range fields {
		if !strings.EqualFold(f.name, "content-type") {
			continue
		}
		m, _ := readMedia(f.value)
		e := entity{types: []media{m}, fields: []field{f}}
		if e.multipart() && slices.Contains(e.boundaries(), string(bytes.TrimRight(line[2:], " \t"))) {
			return true
		}
	}
	return false
}

// goesOn reports whether the header goes on behind a line of blanks at the place.
func (h *header) goesOn(at int, after []byte) bool {
	if at < h.lastKnown() {
		return true
	}
	line, _, _ := cutHeaderLine(after)
	return structural(h.name) && !blank(line) && (line[0] == ' ' || line[0] == '\t')
}

// joins reports whether a line that is no field continues the last one.
func (h *header) joins(line []byte, at int) bool {
	open := bytes.HasSuffix(h.value, []byte(",")) || bytes.HasSuffix(h.value, []byte(";"))
	switch strings.ToLower(h.name) {
	case "content-type", "content-disposition":
		return paramBegins(line) || open && paramLine(line) || h.quotes%2 == 1 && at < h.lastKnown()
	case "from", "to", "cc", "bcc", "reply-to", "sender":
		return open && bytes.IndexByte(line, '@') >= 0
	case "references", "in-reply-to", "message-id", "content-id":
		return line[0] == '<'
	case "":
		return false
	default:
		return bytes.HasPrefix(line, []byte("=?")) && at < h.lastKnown()
	}
}

// lastKnown is where the last known field before the first empty line begins. Of a
// part, only fields about its content are known.
func (h *header) lastKnown() int {
	if h.last != -2 {
		return h.last
	}
	h.last = -1
	rest := h.raw
	for len(rest) > 0 && len(h.raw)-len(rest) <= MaxHeader {
		line, after, _ := cutHeaderLine(rest)
		if len(line) == 0 {
			break
		}
		if name, _, ok := fieldLine(line); ok && (structural(name) || h.root && knownField(name)) {
			h.last = len(h.raw) - len(rest)
		}
		rest = after
	}
	return h.last
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
// are tolerated (RFC 5322 §4.5), NUL in the name as well.
func fieldLine(line []byte) (name string, value []byte, ok bool) {
	i := bytes.IndexByte(line[:min(len(line), 300)], ':')
	if i < 0 {
		return "", nil, false
	}

	head := bytes.TrimRight(line[:i], " \t")
	if bytes.IndexByte(head, '(') > 0 { // a comment, which old rules allow
		head = bytes.TrimSpace([]byte(stripComments(string(head))))
	}
	if bytes.IndexByte(head, 0) >= 0 {
		head = bytes.ReplaceAll(head, []byte{0}, nil)
	}
	if len(head) == 0 || len(head) > 256 {
		return "", nil, false
	}

	for _, c := range head {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;\"[]?=/`, c) >= 0 {
			return "", nil, false
		}
	}

	return string(head), bytes.TrimSpace(line[i+1:]), true
}

// get returns the first value of a field, empty when there is none.
func (e *entity) get(name string) string { return first(e.fields, name) }

// all returns the different values of a structural field in their order, without NUL.
func (e *entity) all(name string) []string {
	var values []string
	seen := map[string]bool{}
	for _, f := range e.fields {
		if !strings.EqualFold(f.name, name) {
			continue
		}
		value := strings.ReplaceAll(f.value, "\x00", "")
		if value != "" && !seen[value] {
			seen[value] = true
			values = append(values, value)
		}
	}
	return values
}

func first(fields []field, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}
