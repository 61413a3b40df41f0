package mime

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// field is one header field, unfolded. Its value is not decoded yet: the character set
// is unknown, and it may have encoded words.
type field struct {
	name  string // as written, without NUL
	value string
}

// maxBeyond is the number of structural fields that are kept beyond a limit.
const maxBeyond = 16

// header reads one header. It repairs lines that are no fields as RFC 7103 §7 prefers:
// it joins a continuation that lost its blank, and drops another line if fields of mail
// follow before the first empty line. If none follow, the body begins there, so that a
// mail without the empty line loses nothing.
type header struct {
	t      *tree
	root   bool // of a mail, not of a part
	raw    []byte
	fields []field
	value  []byte // of the last field, as far as read
	limit  int    // bytes of value
	name   string // of the last field; empty: dropped
	count  int
	quotes int // quotation marks in value
	looked int // lines that were compared with delimiters
	beyond int // fields kept beyond a limit
	last   int // the start of the last known field before the empty line; -1: none; -2: unknown
}

// readHeader returns the fields up to the first empty line and the rest. Beyond a limit,
// only structural fields are kept.
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
			h.t.record(DefectBareCR)
		}
		switch name, value, ok := fieldLine(line); {
		case len(line) == 0:
			return after
		case blank(line):
			h.t.record(DefectBlankLine)
			if !h.continues(at, after) {
				return after
			}
		case (line[0] == ' ' || line[0] == '\t') && h.count > 0:
			h.extend(bytes.TrimSpace(line))
		case ok:
			h.odd(name, line)
			h.begin(name, value, at)
		case h.joins(line, at):
			h.t.record(DefectJoinedLine)
			h.extend(bytes.TrimSpace(line))
		case h.delimits(line):
			h.t.record(DefectNoEmptyLine)
			return rest
		case h.count == 0 && h.indented(line, at):
			h.t.record(DefectStrayLine)
		case at < h.lastKnown():
			h.t.record(DefectStrayLine)
		default:
			if h.count > 0 {
				h.t.record(DefectNoEmptyLine)
			}
			return rest
		}
		rest = after
	}

	return nil
}

// odd records a structural field in a form that some programs may not recognise.
func (h *header) odd(name string, line []byte) {
	if !structural(name) {
		return
	}
	if bytes.IndexByte(line, 0) >= 0 {
		h.t.record(DefectNUL)
	}
	if before := line[bytes.IndexByte(line, ':')-1]; before == ' ' || before == '\t' || before == ')' {
		h.t.record(DefectFieldName)
	}
}

// rejoin reads a part whose header has an extra empty line: parameters or fields about
// the content follow, and another empty line, before content that is no text. Mail
// programs read these as part of the header.
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

	t.record(DefectBlankLine)
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

// wholeRunes removes an incomplete UTF-8 character at the end of b.
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

// indented begins a field in the first line of the header if that begins with blanks: it
// cannot be a continuation.
func (h *header) indented(line []byte, at int) bool {
	name, value, ok := fieldLine(bytes.TrimLeft(line, " \t"))
	if ok && (structural(name) || h.root && knownField(name)) {
		h.begin(name, value, at)
		return true
	}
	return false
}

// delimits reports whether a line is the first delimiter of the declared multipart,
// before which the empty line is missing.
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

// continues reports whether the header continues after a line of blanks at the position.
func (h *header) continues(at int, after []byte) bool {
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

// lastKnown returns the start of the last known field before the first empty line. In a
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

// maxValue returns the limit of a field. A mail to thousands has a long To.
func maxValue(name string) int {
	switch strings.ToLower(name) {
	case "to", "cc", "bcc", "reply-to", "from", "resent-to", "resent-cc":
		return MaxAddressField
	default:
		return MaxField
	}
}

// fieldLine splits the first line of a field at its colon. It accepts blanks before the
// colon (RFC 5322 §4.5) and NUL in the name.
func fieldLine(line []byte) (name string, value []byte, ok bool) {
	i := bytes.IndexByte(line[:min(len(line), 300)], ':')
	if i < 0 {
		return "", nil, false
	}

	head := bytes.TrimRight(line[:i], " \t")
	if bytes.IndexByte(head, '(') > 0 { // a comment, which obsolete syntax allows
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

// all returns the distinct values of a structural field in order, without NUL.
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
