package mime

import (
	"bytes"
	stdmime "mime"
	"slices"
	"strings"
)

// Bounds of the boundaries of one multipart. RFC 2046 §5.1.1 allows 70 bytes.
const (
	maxBoundary   = 998 // bytes, the longest line of RFC 5322 §2.1.1
	maxBoundaries = 8   // readings of the boundaries of one multipart
	maxNear       = 16  // distinct lines that begin with a delimiter and have more text
)

// boundaries returns the readings of the boundary of a multipart, the most likely first.
func (e *entity) boundaries() []string {
	var list []string
	add := func(b string) {
		b = strings.TrimRight(b, " \t")
		if b != "" && !slices.Contains(list, b) {
			list = append(list, b)
		}
	}

	for _, m := range e.types {
		if value, _, ok := m.get("boundary"); ok {
			add(value)
		}
	}

	for _, m := range e.types {
		for _, p := range m.params {
			if p.name == "boundary" || strings.HasPrefix(p.name, "boundary*") {
				add(p.value)
				add(p.raw)
				add(strings.TrimLeft(p.value, " \t"))
				add(stripComments(p.value))
				add(strings.Trim(p.value, "'"))
				add(decodeWords(p.value))
				add(strings.ReplaceAll(p.value, " ", "")) // folded within the value
			}
		}
	}

	for _, value := range e.all("content-type") {
		for _, b := range written(value) {
			add(strings.TrimLeft(b, " \t"))
			add(strings.TrimLeft(stripComments(b), " \t"))
		}
	}

	return list
}

// written returns the text after each "boundary=" of a field, quoted or not, up to the
// next quote or semicolon, wherever it is; at most maxBoundaries texts.
func written(value string) []string {
	const name, blanks = "boundary", "\t\n\f\r "
	list := []string{}
	for at := 0; at+len(name) <= len(value) && len(list) < maxBoundaries; {
		if !strings.EqualFold(value[at:at+len(name)], name) {
			at++
			continue
		}
		at += len(name)
		rest, ok := strings.CutPrefix(strings.TrimLeft(value[at:], blanks), "=")
		if !ok {
			continue
		}

		rest = strings.TrimPrefix(strings.TrimLeft(rest, blanks), `"`)
		end := strings.IndexAny(rest, `";`)
		if end < 0 {
			end = len(rest)
		}
		if end > 0 {
			list = append(list, rest[:end])
		}
		at = len(value) - len(rest) + end
	}
	return list
}

// occurring returns the boundaries of e that occur in body.
func (t *tree) occurring(e *entity, body []byte) []string {
	var found []string
	for _, b := range e.boundaries() {
		if len(found) == maxBoundaries {
			t.exceed("a multipart has more than 8 boundaries")
			break
		}
		if len(b) > maxBoundary {
			t.exceed("a boundary is longer than 998 bytes")
			continue
		}
		if occurs(body, b) {
			found = append(found, b)
		}
	}
	if len(found) > 0 && !e.strictly(found[0]) {
		t.record(DefectBoundary)
	}
	return found
}

// strictly reports whether a program that follows the rules finds the same boundary.
func (e *entity) strictly(boundary string) bool {
	const enough = 4 << 10 // bytes of a field
	value := e.get("content-type")
	if len(value) > enough {
		return false
	}
	for _, p := range e.types[0].params {
		if strings.HasPrefix(p.name, "boundary*") {
			return false
		}
	}
	kind, params, err := stdmime.ParseMediaType(value)
	return err == nil && strings.HasPrefix(kind, "multipart/") && strings.TrimRight(params["boundary"], " ") == boundary
}

// occurs reports whether body has a delimiter line of boundary.
func occurs(body []byte, boundary string) bool {
	d := delimiters{body: body, delimiter: []byte("--" + boundary)}
	for d.next() {
		if d.exact() {
			return true
		}
	}
	return false
}

// guessBoundary returns the boundary that programs guess for a multipart whose declared
// one does not occur: the first line that begins with two dashes and is followed by the
// header of a part.
func guessBoundary(body []byte) (string, bool) {
	d := delimiters{body: body, delimiter: []byte("--")}
	for d.next() {
		name := string(bytes.TrimRight(d.tail, " \t\r"))
		line, _ := cutLine(body[min(len(body), d.after):])
		if field, _, ok := fieldLine(line); ok && structural(field) && len(name) <= maxBoundary {
			return name, true
		}
	}
	return "", false
}

// delimiters iterates over the lines of a body that begin with a delimiter.
type delimiters struct {
	body      []byte
	delimiter []byte
	at        int    // where the search continues
	line      int    // the start of the line
	after     int    // the start of the next line
	tail      []byte // the rest of the line after the delimiter
	bareCR    bool   // the previous line ended with CR alone
}

// next finds the next line that begins with the delimiter.
func (d *delimiters) next() bool {
	for d.at < len(d.body) {
		i := bytes.Index(d.body[d.at:], d.delimiter)
		if i < 0 {
			d.at = len(d.body)
			return false
		}
		d.line = d.at + i
		d.at = d.line + 1
		if d.line > 0 && d.body[d.line-1] != '\n' && d.body[d.line-1] != '\r' {
			if i = bytes.IndexAny(d.body[d.at:], "\r\n"); i < 0 {
				d.at = len(d.body)
			} else {
				d.at += i
			}
			continue
		}
		d.bareCR = d.line > 0 && d.body[d.line-1] == '\r'
		start := d.line + len(d.delimiter)
		end := bytes.IndexAny(d.body[start:], "\r\n")
		if end < 0 {
			end = len(d.body) - start
		}
		d.tail = d.body[start : start+end]
		rest := d.body[start+end:]
		_, after, bare := cutHeaderLine(rest)
		d.bareCR = d.bareCR || bare && len(rest) > 0
		d.after = len(d.body) - len(after)
		d.at = max(d.at, start+end)
		return true
	}

	return false
}

// exact reports whether the line is the delimiter, closing or not, followed only by
// blanks. A closing one may be followed by anything.
func (d *delimiters) exact() bool {
	return bytes.HasPrefix(d.tail, []byte("--")) || blank(d.tail)
}

// parts is a multipart split at its delimiter lines.
type parts struct {
	parts    [][]byte
	bareCR   bool
	epilogue []byte   // what follows the closing delimiter
	near     []string // the rest of lines that begin with the delimiter and have more text
}

// split splits the body of a multipart at its delimiter lines (RFC 2046 §5.1.1), without
// preamble and epilogue, into at most limit parts. The line break before a delimiter
// belongs to the delimiter. A body without a closing one ends with its last byte.
func split(body []byte, boundary string, limit int) parts {
	var p parts
	d := delimiters{body: body, delimiter: []byte("--" + boundary)}
	start := -1
	for len(p.parts) < limit && d.next() {
		if !d.exact() {
			p.nearly(d.tail)
			continue
		}
		p.bareCR = p.bareCR || d.bareCR
		if start >= 0 {
			p.parts = append(p.parts, trimBreak(body[start:max(start, d.line)]))
		}
		if bytes.HasPrefix(d.tail, []byte("--")) {
			p.epilogue = body[d.after:]
			return p
		}
		start = d.after
	}

	if start >= 0 && len(p.parts) < limit && len(bytes.TrimSpace(body[start:])) > 0 {
		p.parts = append(p.parts, body[start:])
	}

	return p
}

// nearly stores the rest of a line that begins with the delimiter.
func (p *parts) nearly(tail []byte) {
	tail = bytes.TrimRight(tail, " \t\r")
	if len(p.near) < maxNear && len(tail) <= maxBoundary && !slices.Contains(p.near, string(tail)) {
		p.near = append(p.near, string(tail))
	}
}

// splitBy splits a body at every line that begins with the delimiter and whose rest is
// accepted, closing or not.
func splitBy(body []byte, boundary string, limit int, accept func(tail []byte) bool) [][]byte {
	var out [][]byte
	d := delimiters{body: body, delimiter: []byte("--" + boundary)}
	start := -1
	for len(out) < limit && d.next() {
		if !accept(d.tail) {
			continue
		}
		if start >= 0 {
			out = append(out, trimBreak(body[start:max(start, d.line)]))
		}
		start = d.after
	}
	if start >= 0 && len(out) < limit {
		out = append(out, body[start:])
	}
	return out
}

// stripComments removes text in parentheses outside of quotes (RFC 5322 §3.2.2).
func stripComments(s string) string {
	var out strings.Builder
	depth, quoted, escaped := 0, false, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		keep := depth == 0
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
			keep = false
		case c == ')' && depth > 0:
			depth--
			keep = false
		}
		if keep {
			out.WriteByte(c)
		}
	}

	return out.String()
}
