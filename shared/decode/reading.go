package decode

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/mail"
)

// reading is how an edit changes the decoding of a body.
type reading struct {
	names   map[string]string
	charset encoding.Encoding // nil: as declared
}

func readingOf(e *contract.Edit) reading {
	if e == nil {
		return reading{}
	}
	r := reading{names: e.Fields}
	if charset, ok := edit.Charset(e.Charset); ok {
		r.charset = charset
	}
	return r
}

// redecodeFields decodes the provider's own fields again, if there is no raw mail. The
// provider has already converted the bytes to text. If it read them as Latin-1 or
// Windows-1252, as is common for mail without a declared character set, the bytes can
// be recovered and are decoded by the character set of the edit. Other text stays.
func (r reading) redecodeFields(e *mail.Event) {
	if r.charset == nil {
		return
	}
	m := &e.Message
	for _, text := range []*string{&m.Subject, &m.Text, &m.HTML} {
		*text = r.again(*text)
	}
	for _, list := range [][]mail.Address{m.From, m.To, m.Cc, m.ReplyTo} {
		for i := range list {
			list[i].Name = r.again(list[i].Name)
		}
	}
	for i := range m.Headers {
		m.Headers[i].Value = r.again(m.Headers[i].Value)
	}
}

func (r reading) again(text string) string {
	if strings.IndexFunc(text, func(c rune) bool { return c >= utf8.RuneSelf }) < 0 {
		return text
	}
	for _, taken := range []*charmap.Charmap{charmap.ISO8859_1, charmap.Windows1252} {
		b, err := taken.NewEncoder().Bytes([]byte(text))
		if err != nil {
			continue
		}
		out, err := r.charset.NewDecoder().Bytes(b)
		if err == nil && utf8.Valid(out) && !strings.ContainsAny(string(out), "\uFFFD\x00") {
			return string(out)
		}
	}
	return text
}
