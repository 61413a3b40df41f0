package mime

import (
	"slices"
	"strconv"
	"strings"
)

// param is one parameter of a Content-Type or Content-Disposition field.
type param struct {
	name   string // lower case, with the asterisks and numbers of RFC 2231
	value  string // quoted pairs undone
	raw    string // as written between the quotes
	quoted bool
}

// media is a parsed Content-Type or Content-Disposition field.
type media struct {
	source string
	kind   string // lower case, without parameters; may be no valid media type
	params []param
}

// readMedia parses a field as mail programs do. It skips comments and folding; a quoted
// string ends at its quote, and text after it up to the next semicolon is dropped; a
// missing semicolon before the next parameter is inserted; a backslash quotes the next
// character (RFC 5322 §3.2.4). It takes time linear in the length. whole is false if
// there are more than MaxParams parameters.
func readMedia(value string) (m media, whole bool) {
	s := scanner{s: value}
	m.source = value
	m.kind = s.kind()

	for {
		s.skip(" \t;,")
		if s.end() {
			return m, true
		}
		if s.comment() {
			continue
		}
		name := s.word()
		s.skip(" \t")
		s.comment()
		s.skip(" \t")
		switch {
		case name != "" && s.at() == '=':
			s.i++
		case s.at() == '"':
			s.quoted() // junk
			continue
		default:
			if name == "" {
				s.i++
			}
			continue
		}
		if len(m.params) == MaxParams {
			return m, false
		}
		p := s.value()
		p.name = strings.ToLower(name)
		m.params = append(m.params, p)
	}
}

// scanner reads a field.
type scanner struct {
	s    string
	i    int
	open bool // there is an unclosed quote: quotes are ordinary characters from here on
}

func (s *scanner) end() bool { return s.i >= len(s.s) }

// at returns the current byte, 0 at the end.
func (s *scanner) at() byte {
	if s.end() {
		return 0
	}
	return s.s[s.i]
}

func (s *scanner) skip(set string) {
	for !s.end() && strings.IndexByte(set, s.s[s.i]) >= 0 {
		s.i++
	}
}

// comment skips a comment (RFC 5322 §3.2.2) and reports whether there was one. The
// parenthesis of an unclosed one is an ordinary character.
func (s *scanner) comment() bool {
	if s.at() != '(' {
		return false
	}
	depth := 0
	for j := s.i; j < len(s.s); j++ {
		switch s.s[j] {
		case '\\':
			j++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				s.i = j + 1
				return true
			}
		}
	}
	s.s = s.s[:s.i] + strings.ReplaceAll(s.s[s.i:], "(", " ") // do not search again
	return false
}

// kind reads the type before the first semicolon. There is none if a parameter is in its
// place.
func (s *scanner) kind() string {
	var out strings.Builder
	for !s.end() {
		s.skip(" \t")
		if s.comment() {
			continue
		}
		switch c := s.at(); {
		case s.end(), c == ';', c == ',':
			return strings.ToLower(out.String())
		case c == '"' && out.Len() == 0:
			out.WriteString(strings.TrimSpace(s.quoted().value))
		case c == '/':
			out.WriteByte(c)
			s.i++
		case out.Len() > 0 && !strings.HasSuffix(out.String(), "/"):
			return strings.ToLower(out.String()) // junk, or a parameter without its semicolon
		default:
			start := s.i
			word := s.word()
			if s.at() == '=' && out.Len() == 0 {
				s.i = start
				return ""
			}
			if word == "" {
				s.i++
			}
			out.WriteString(word)
		}
	}

	return strings.ToLower(out.String())
}

// word reads up to a blank or a special character.
func (s *scanner) word() string {
	start := s.i
	for !s.end() && strings.IndexByte(" \t;,=\"(/", s.s[s.i]) < 0 {
		s.i++
	}
	return s.s[start:s.i]
}

// value reads the value after an equals sign.
func (s *scanner) value() param {
	s.skip(" \t")
	if s.comment() {
		s.skip(" \t")
	}
	if s.at() == '"' {
		if p := s.quoted(); p.quoted {
			return p
		}
	}
	return s.unquoted()
}

// quoted reads a quoted string. If the closing quote is missing, it skips only the
// opening one.
func (s *scanner) quoted() param {
	s.i++
	if s.open {
		return param{}
	}

	j, pairs := s.i, false
	for j < len(s.s) && s.s[j] != '"' {
		if s.s[j] == '\\' {
			pairs = true
			j++
		}
		j++
	}

	if j >= len(s.s) {
		s.open = true
		return param{}
	}

	raw := s.s[s.i:j]
	s.i = j + 1
	if more := s.innerQuotes(); more > 0 {
		raw = s.s[s.i-1-len(raw) : s.i+more-1]
		s.i += more
		raw = strings.ReplaceAll(raw, `"`, "")
	}

	p := param{value: raw, raw: raw, quoted: true}
	if pairs {
		p.value = unpair(raw)
	}

	return p
}

// innerQuotes returns the number of bytes after a closing quote that still belong to the
// value, if a name with quotes was quoted without escaping them: up to the next semicolon
// there is text, without a blank before it and without an equals sign, that ends with a
// quote.
func (s *scanner) innerQuotes() int {
	rest := s.s[s.i:min(len(s.s), s.i+1024)]
	if rest == "" || rest[0] == ' ' || rest[0] == '\t' {
		return 0
	}
	if i := strings.IndexByte(rest, ';'); i >= 0 {
		rest = rest[:i]
	}
	rest = strings.TrimRight(rest, " \t")
	if !strings.HasSuffix(rest, `"`) || strings.IndexByte(rest, '=') >= 0 {
		return 0
	}
	return len(rest)
}

// unpair undoes quoted pairs.
func unpair(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// unquoted reads up to the next semicolon, or to a blank before the next parameter.
// Neither ends the value inside an encoded word, which should be quoted.
func (s *scanner) unquoted() param {
	rest, from := s.s[s.i:], 0
	if strings.HasPrefix(rest, "=?") {
		if w, ok := wordAt(rest, 0); ok {
			from = w.end
		}
	}
	if i := strings.IndexByte(rest[from:], ';'); i >= 0 {
		rest = rest[:from+i]
	}

	end := len(rest)
	for i := from; i < len(rest); i++ {
		if rest[i] != ' ' && rest[i] != '\t' {
			continue
		}
		next := scanner{s: rest, i: i}
		next.skip(" \t")
		i = next.i
		if next.word() != "" && next.at() == '=' && !strings.HasPrefix(rest[i:], "=?") {
			end = i
			break
		}
		i = next.i - 1
	}

	s.i += end
	value := strings.Trim(rest[:end], " \t")
	return param{value: value, raw: value}
}

// get returns the first value of a parameter, plain or by RFC 2231: one extended value,
// pieces, or both. The value is bytes of the returned character set, which is unknown if
// the label is empty.
func (m media) get(name string) (value, charset string, ok bool) {
	if pieces := m.pieces(name); len(pieces) > 0 {
		value, charset = join(pieces)
		return value, charset, true
	}
	for _, p := range m.params {
		if p.name == name {
			return p.value, "", true
		}
	}
	return "", "", false
}

// piece is one piece of a parameter's value by RFC 2231.
type piece struct {
	param
	number   int
	extended bool
}

// pieces returns the extended value of a parameter, or its numbered pieces in order. Of
// pieces with the same number the first counts; a missing number does not end the value.
func (m media) pieces(name string) []piece {
	var pieces []piece
	for _, p := range m.params {
		rest, ok := strings.CutPrefix(p.name, name+"*")
		if !ok {
			continue
		}
		if rest == "" {
			return []piece{{param: p, extended: true}}
		}
		digits, extended := strings.CutSuffix(rest, "*")
		number, err := strconv.Atoi(digits)
		if err != nil || number < 0 {
			continue
		}
		pieces = append(pieces, piece{param: p, number: number, extended: extended})
	}
	slices.SortStableFunc(pieces, func(a, b piece) int { return a.number - b.number })
	return slices.CompactFunc(pieces, func(a, b piece) bool { return a.number == b.number })
}

// join returns the bytes of pieces and the character set that the first one names.
func join(pieces []piece) (value, charset string) {
	var out strings.Builder
	for i, p := range pieces {
		text := p.value
		if i == 0 {
			if label, rest, ok := charsetPrefix(text); ok && (p.extended || strings.Contains(rest, "%") && charsetKnown(label)) {
				charset, text, p.extended = label, rest, true
			}
		}
		if p.extended {
			text = percent(text)
		}
		out.WriteString(text)
	}
	return out.String(), charset
}

// charsetKnown reports whether a label is empty or names a character set.
func charsetKnown(label string) bool {
	label = charsetLabel(label)
	_, ok := convert(label, nil)
	return ok || label == ""
}

// charsetPrefix splits charset'language'rest.
func charsetPrefix(s string) (label, rest string, ok bool) {
	label, rest, ok = strings.Cut(s, "'")
	if !ok || label != "" && charsetLabel(label) == "" {
		return "", s, false
	}
	if _, rest, ok = strings.Cut(rest, "'"); !ok {
		return "", s, false
	}
	return label, rest, true
}

// percent undoes the encoding of RFC 2231 §4 and keeps invalid sequences.
func percent(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
