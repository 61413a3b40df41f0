package mime

import (
	netmail "net/mail"
	"strconv"
	"strings"

	"mailroom/shared/mail"
)

// addresses returns the mailboxes of every field of that name, up to MaxAddressField in
// total. Entries that are not valid by RFC 5322 §3.4 are read as mail programs do: the
// text between angle brackets, or the word with an at sign.
func (c *collector) addresses(fields []field, name string) []mail.Address {
	out := []mail.Address{}
	left := MaxAddressField
	for _, f := range fields {
		if !strings.EqualFold(f.name, name) {
			continue
		}
		if left -= len(f.value); left < 0 {
			c.t.exceed("the address fields of one name are longer than 1024 KiB")
			break
		}
		out = append(out, c.addressList(f.value)...)
	}
	return out
}

// addressList reads the value of one field.
func (c *collector) addressList(value string) []mail.Address {
	if strings.TrimSpace(value) == "" {
		return nil
	}

	value, h := hideWords(value, func(s string) string { return noMarks.Replace(clean(c.fieldText(s))) })
	var out []mail.Address
	if list, err := (&netmail.AddressParser{}).ParseList(value); err == nil {
		for _, a := range list {
			out = append(out, mail.Address{Name: decodeWordsBy(h.show(a.Name), c.charset), Address: clean(h.show(a.Address))})
		}
		return out
	}

	groups := strings.Contains(value, ";")
	for _, piece := range mergeNames(splitList(value)) {
		if !strings.Contains(piece, "@") && strings.Contains(piece, hideOpen) { // the whole entry is encoded
			piece = strings.ReplaceAll(decodeWordsBy(h.show(piece), c.charset), "=?", "")
		}
		for _, a := range looseAddresses(piece, groups) {
			a.Name = decodeWordsBy(h.show(a.Name), c.charset)
			a.Address = clean(h.show(a.Address))
			out = append(out, a)
		}
	}

	return out
}

// hidden are the encoded words of an address list while it is split: commas and brackets
// in them are text.
type hidden []string

// The characters around the number of a hidden word. They are noncharacters of Unicode,
// so that valid text does not have them.
const hideOpen, hideClose = "\uFDD0", "\uFDD1"

// noMarks removes them from text that has them nevertheless.
var noMarks = strings.NewReplacer(hideOpen, "\uFFFD", hideClose, "\uFFFD")

// hideWords replaces each encoded word with its number; plain decodes the bytes between
// words.
func hideWords(value string, plain func(string) string) (string, hidden) {
	var words hidden
	var out strings.Builder
	at := 0
	for w, ok := nextWord(value, 0); ok; w, ok = nextWord(value, w.end) {
		out.WriteString(plain(value[at:w.start]))
		out.WriteString(hideOpen + strconv.Itoa(len(words)) + hideClose)
		words = append(words, value[w.start:w.end])
		at = w.end
	}
	out.WriteString(plain(value[at:]))
	return out.String(), words
}

// show replaces numbers with their words again.
func (h hidden) show(text string) string {
	if !strings.Contains(text, hideOpen) {
		return text
	}
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(text, hideOpen)
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		number, after, _ := strings.Cut(rest, hideClose)
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(h) {
			out.WriteString(h[i])
		}
		text = after
	}
}

// splitList splits an address list at commas and semicolons outside of quotes, comments
// and angle brackets. One that is never closed is an ordinary character.
func splitList(value string) []string {
	var pieces []string
	lastQuote, lastParen := strings.LastIndexByte(value, '"'), strings.LastIndexByte(value, ')')
	start, quoted, angled, depth := 0, false, false, 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"' && (quoted || i < lastQuote):
			quoted = !quoted
		case quoted:
		case c == '(' && i < lastParen:
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '<':
			angled = strings.IndexByte(value[i:min(len(value), i+1000)], '>') > 0
		case c == '>':
			angled = false
			if missesComma(value[i+1 : min(len(value), i+1000)]) {
				pieces = append(pieces, value[start:i+1])
				start = i + 1
			}
		case (c == ',' || c == ';') && !angled:
			pieces = append(pieces, value[start:i])
			start = i + 1
		}
	}

	return append(pieces, value[start:])
}

// missesComma reports whether another address in brackets follows one without a
// comma between them.
func missesComma(rest string) bool {
	if i := strings.IndexAny(rest, ",;"); i >= 0 {
		rest = rest[:i]
	}
	rest = strings.TrimLeft(rest, "> \t")
	return rest != "" && rest[0] != '(' && strings.Contains(rest, "<") && strings.Contains(rest, "@")
}

// mergeNames joins pieces that were split at a comma in an unquoted name: a piece without
// an address belongs to the name of the next address that has a name.
func mergeNames(pieces []string) []string {
	const most = 4 // commas in one name
	var out, waiting []string
	for _, piece := range pieces {
		if strings.TrimSpace(piece) != "" && !strings.ContainsAny(piece, "@<:") {
			waiting = append(waiting, piece)
			continue
		}
		if n := len(waiting); n > 0 && n <= most && hasName(piece) {
			piece = strings.Join(append(waiting, piece), ",")
			waiting = nil
		}
		out = append(append(out, waiting...), piece)
		waiting = nil
	}
	return append(out, waiting...)
}

// hasName reports whether there is unquoted text before an address.
func hasName(piece string) bool {
	name, _, ok := strings.Cut(piece, "<")
	if !ok {
		at := strings.IndexByte(piece, '@')
		name = strings.TrimLeft(piece[:max(at, 0)], " \t")
		name = name[:max(0, strings.LastIndexAny(name, " \t"))]
	}
	return strings.TrimSpace(name) != "" && !strings.ContainsAny(name, `":`)
}

// looseAddresses reads one invalid entry of a list, which may have several addresses
// separated by blanks. groups means that the list may have groups, whose names end with
// a colon.
func looseAddresses(piece string, groups bool) []mail.Address {
	piece = strings.TrimSpace(piece)
	if open := strings.LastIndexByte(piece, '<'); open >= 0 {
		address, _, _ := strings.Cut(piece[open+1:], ">")
		name := strings.Trim(strings.TrimSpace(strings.TrimRight(piece[:open], "< \t")), `"`)
		if i := strings.LastIndexByte(name, ':'); i >= 0 && groups {
			name = strings.TrimSpace(name[i+1:])
		}
		if address = bare(address); address == "" {
			return nil
		}
		return []mail.Address{{Name: strings.ReplaceAll(name, `"`, ""), Address: address}}
	}

	words := strings.Fields(strings.ReplaceAll(stripComments(piece), `"`, " "))
	if len(words) > 0 && strings.HasSuffix(words[0], ":") { // the name of a group
		words = words[1:]
	}

	var found []mail.Address
	var name []string
	for _, w := range words {
		if strings.Contains(w, "@") {
			found = append(found, mail.Address{Address: bare(w)})
		} else {
			name = append(name, w)
		}
	}

	switch {
	case len(found) > 0:
		found[0].Name = strings.Join(name, " ")
	case len(words) == 1 && !strings.HasPrefix(strings.ToLower(words[0]), "undisclosed"):
		return []mail.Address{{Address: words[0]}}
	}

	return found
}

// bare removes characters around an address.
func bare(address string) string {
	address = strings.Trim(strings.TrimSpace(address), `"'`)
	return strings.TrimRight(strings.TrimPrefix(address, "mailto:"), ".,;")
}
