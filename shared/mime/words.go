package mime

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// word is an encoded word (RFC 2047 §2) with its position in a text.
type word struct {
	start, end int
	charset    string // lower case, without its language
	base64     bool
	text       string
}

// nextWord returns the first encoded word of s at or after from. It accepts what mail
// programs write: blanks and brackets in the word, and text directly before or after it.
func nextWord(s string, from int) (word, bool) {
	for {
		i := strings.Index(s[from:], "=?")
		if i < 0 {
			return word{}, false
		}
		start := from + i
		if w, ok := wordAt(s, start); ok {
			return w, true
		}
		from = start + 2
	}
}

func wordAt(s string, start int) (word, bool) {
	const maxCharset = 80 // bytes, with a language
	head := s[start+2 : min(len(s), start+2+maxCharset)]
	charset, rest, ok := strings.Cut(head, "?")
	charset = strings.TrimSpace(charset)
	encoding, _, closed := strings.Cut(rest, "?")
	if !ok || !closed || charset == "" || strings.ContainsAny(charset, " \t=") {
		return word{}, false
	}

	w := word{start: start, charset: charsetLabel(charset)}
	switch strings.TrimSpace(encoding) {
	case "b", "B":
		w.base64 = true
	case "q", "Q":
	default:
		return word{}, false
	}

	text := start + 2 + len(head) - len(rest) + len(encoding) + 1
	length := closing(s[text:], w.base64)
	if length < 0 {
		if w.text = strings.TrimSuffix(s[text:], "?"); len(w.text) < 4 || strings.ContainsAny(w.text, " \t?") {
			return word{}, false
		}
		w.end = len(s) // its end is missing
		return w, true
	}

	w.text = s[text : text+length]
	w.end = text + length + 2
	return w, true
}

// closing returns the position of the ?= that ends a word, or -1.
func closing(s string, base64 bool) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '?':
			if i+1 < len(s) && s[i+1] == '=' {
				return i
			}
			if base64 {
				return -1
			}
		case c == '=' && !base64 && i+2 < len(s) && s[i+1] == '?' && s[i+2] != '=':
			return -1 // another word begins
		}
	}
	return -1
}

// bytes undoes the encoding of a word.
func (w word) bytes() []byte {
	if w.base64 {
		out, _ := decodeBase64([]byte(w.text))
		return out
	}
	return appendUnquoted(nil, []byte(strings.ReplaceAll(w.text, "_", " ")))
}

// decodeWords decodes the encoded words of s, except those of an unknown character set.
func decodeWords(s string) string { return decodeWordsBy(s, nil) }

// decodeWordsBy is decodeWords with a character set for words whose own is unknown or
// wrong. Words separated only by blanks are one text. Those of one character set are
// joined before decoding, because senders split them within a character or a group of
// base64.
func decodeWordsBy(s string, fallback encoding.Encoding) string {
	return decodeField(s, fallback, func(text string) string { return text })
}

// decodeField is decodeWordsBy with a function that decodes the bytes between words; the
// bytes in a word have the character set of the word.
func decodeField(s string, fallback encoding.Encoding, plain func(string) string) string {
	if !strings.Contains(s, "=?") {
		return clean(plain(s))
	}
	var out strings.Builder
	at := 0
	w, ok := nextWord(s, 0)
	for ok {
		run := []word{w}
		end := w.end
		next, more := nextWord(s, end)
		for more && next.charset == w.charset && onlyBlanks(s[end:next.start]) {
			run = append(run, next)
			end = next.end
			next, more = nextWord(s, end)
		}

		between := s[at:w.start]
		adjacent := at > 0 && onlyBlanks(between)
		if !adjacent {
			out.WriteString(plain(between))
		}
		if text, done := decodeRun(run, fallback); done {
			out.WriteString(text)
		} else {
			if adjacent {
				out.WriteString(between)
			}
			out.WriteString(plain(s[w.start:end]))
		}

		at = end
		w, ok = next, more
	}
	out.WriteString(plain(s[at:]))
	return clean(out.String())
}

// onlyBlanks reports whether the text between two words is only blanks.
func onlyBlanks(between string) bool { return strings.Trim(between, " \t") == "" }

// decodeRun decodes words of one character set as one text.
func decodeRun(run []word, fallback encoding.Encoding) (string, bool) {
	label := run[0].charset
	apart := joinWords(run)
	text, ok := convert(label, apart)
	if ok && whole(text) && (!rawUTF8(run) || !utf8.Valid(apart)) {
		return text, true
	}
	if together := glueWords(run); together != nil {
		if glued, known := convert(label, together); known && whole(glued) {
			return glued, true
		}
	}

	switch {
	case rawUTF8(run) && utf8.Valid(apart): // written as it is under another name
		return string(apart), true
	case fallback == nil && isUTF8(label) && neverUTF8(apart):
		return decode(apart, charmap.Windows1252), true
	case fallback == nil:
		return text, ok
	}

	var out strings.Builder
	for _, w := range run {
		single, known := convert(label, w.bytes())
		if !known || !whole(single) {
			single = decode(w.bytes(), fallback)
		}
		out.WriteString(single)
	}

	return out.String(), true
}

// rawUTF8 reports whether words have unencoded characters above ASCII, and those are
// UTF-8.
func rawUTF8(run []word) bool {
	raw := false
	for _, w := range run {
		raw = raw || !ascii([]byte(w.text))
		if !utf8.ValidString(w.text) {
			return false
		}
	}
	return raw
}

// whole reports whether a text was decoded without loss.
func whole(text string) bool {
	return utf8.ValidString(text) && !strings.Contains(text, "\uFFFD")
}

// joinWords decodes each word and joins the bytes.
func joinWords(run []word) []byte {
	var out []byte
	for _, w := range run {
		out = append(out, w.bytes()...)
	}
	return out
}

// glueWords joins the text of words before decoding, if one of them ends within a group
// of base64 or an encoded byte. It returns nil if that makes no difference.
func glueWords(run []word) []byte {
	var text strings.Builder
	cut := false
	for i, w := range run {
		if w.base64 != run[0].base64 {
			return nil
		}
		text.WriteString(w.text)
		if i+1 == len(run) {
			break
		}
		if w.base64 {
			if strings.Contains(w.text, "=") {
				return nil
			}
			cut = cut || len(w.text)%4 != 0
		} else {
			cut = cut || strings.Contains(w.text[max(0, len(w.text)-2):], "=")
		}
	}

	if !cut {
		return nil
	}

	return word{text: text.String(), base64: run[0].base64}.bytes()
}
