package mime

import (
	netmail "net/mail"
	"strings"

	"mailroom/shared/mail"
)

// addresses lists the mailboxes of every field of that name, together no longer
// than MaxAddressField. What RFC 5322 §3.4 cannot read is read as mail programs do:
// between the angle brackets, or the word with the at sign.
func addresses(fields []field, name string) []mail.Address {
	out := []mail.Address{}
	left := MaxAddressField
	for _, f := range fields {
		if !strings.EqualFold(f.name, name) {
			continue
		}
		if left -= len(f.value); left < 0 {
			break
		}
		out = append(out, addressList(f.value)...)
	}
	return out
}

func addressList(value string) []mail.Address {
	if strings.TrimSpace(value) == "" {
		return nil
	}
	parser := netmail.AddressParser{WordDecoder: wordDecoder()}
	var out []mail.Address
	if list, err := parser.ParseList(value); err == nil {
		for _, a := range list {
			out = append(out, mail.Address{Name: decodeWords(a.Name), Address: clean(a.Address)})
		}
		return out
	}
	for _, piece := range splitList(value) {
		if a, ok := looseAddress(piece); ok {
			out = append(out, a)
		}
	}
	return out
}

// splitList cuts an address list at the commas and semicolons outside of quotes
// and angle brackets.
func splitList(value string) []string {
	var pieces []string
	start, quoted, angled := 0, false, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angled = true
		case c == '>':
			angled = false
		case (c == ',' || c == ';') && !angled:
			pieces = append(pieces, value[start:i])
			start = i + 1
		}
	}
	return append(pieces, value[start:])
}

// looseAddress reads one entry of a list that breaks the rules.
func looseAddress(piece string) (mail.Address, bool) {
	piece = strings.TrimSpace(piece)
	if open := strings.LastIndexByte(piece, '<'); open >= 0 {
		address, _, _ := strings.Cut(piece[open+1:], ">")
		name := strings.Trim(strings.TrimSpace(piece[:open]), `"`)
		address = clean(strings.TrimSpace(address))
		return mail.Address{Name: decodeWords(name), Address: address}, address != ""
	}
	words := strings.Fields(strings.ReplaceAll(stripComments(piece), `"`, " "))
	if len(words) > 0 && strings.HasSuffix(words[0], ":") { // the name of a group
		words = words[1:]
	}
	for i, w := range words {
		if strings.Contains(w, "@") {
			name := strings.Join(append(words[:i:i], words[i+1:]...), " ")
			return mail.Address{Name: decodeWords(name), Address: clean(w)}, true
		}
	}
	if len(words) == 1 {
		return mail.Address{Address: clean(words[0])}, true
	}
	return mail.Address{}, false
}
