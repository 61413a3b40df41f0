package payload

import (
	"bytes"
	"unicode/utf8"
)

// Limits of the text that the trimmer passes on. The tokenizer buffers tokens of any
// length and refuses more than 10,000 levels.
const (
	// longString is the length at which a string is cut for Peek, in bytes as written.
	// An escape has six bytes, so a cut string exceeds every bound of a field.
	longString = 8 << 10
	// longDigits is the number of consecutive digits that are passed on.
	longDigits = maxNumber + 44
	// trimDepth is the last level that is passed on: one more than MaxDepth, so that
	// the walker notices the breach.
	trimDepth = MaxDepth + 1
)

// place is the kind of text at the trimmer's position.
type place int

const (
	outside place = iota
	inString
	inEscape
	inHex
	inDeep
)

// trimmer shortens a JSON text in one pass, piece by piece. Values deeper than trimDepth
// become an empty object or array, long strings are cut, and long runs of digits or
// white space are cut to a length that is still too long. It checks the text that it
// removes, so that the rest is valid JSON if and only if the whole is. Its memory is one
// bit for each level.
type trimmer struct {
	// longest is the length at which strings are cut; zero: never.
	longest int

	place  place
	length int // bytes of the string so far
	cut    bool
	hex    int // remaining hexadecimal digits of an escape
	digits int // consecutive digits so far
	space  bool
	depth  int
	deep   scanner
}

// trim shortens the next piece of the text in place and returns its new length. ok is
// false if removed text is not JSON.
func (t *trimmer) trim(p []byte) (n int, ok bool) {
	for i := 0; i < len(p); i++ {
		c := p[i]
		var keep bool
		switch t.place {
		case outside:
			keep = t.outside(c)
		case inDeep:
			done, valid := t.deep.next(c)
			if !valid {
				return n, false
			}
			if keep = done; done {
				t.place = outside
				t.depth--
			}
		default:
			var valid bool
			if keep, valid = t.inside(c); !valid {
				return n, false
			}
		}
		if keep {
			p[n] = c
			n++
		}
	}

	return n, true
}

// outside reads a byte outside of strings. The tokenizer checks what is passed on.
func (t *trimmer) outside(c byte) (keep bool) {
	if c >= '0' && c <= '9' {
		t.space = false
		t.digits++
		return t.digits <= longDigits
	}

	t.digits = 0
	if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
		keep, t.space = !t.space, true
		return keep
	}

	t.space = false
	switch c {
	case '"':
		t.place, t.length = inString, 0
	case '{', '[':
		if t.depth++; t.depth >= trimDepth {
			t.place = inDeep
			t.deep.enter(c == '{')
		}
	case '}', ']':
		t.depth--
	}

	return true
}

// inside reads a byte of a string. A string is cut between two characters or escapes,
// never within one; the rest is checked.
func (t *trimmer) inside(c byte) (keep, ok bool) {
	if t.place == inString && t.longest > 0 && t.length >= t.longest && utf8.RuneStart(c) {
		t.cut = true
	}
	t.length++

	valid := true
	switch {
	case t.place == inEscape:
		t.place, valid = inString, isEscape(c)
		if c == 'u' {
			t.place, t.hex = inHex, 4
		}
	case t.place == inHex:
		valid = isHex(c)
		if t.hex--; t.hex == 0 {
			t.place = inString
		}
	case c == '"':
		t.place, t.cut = outside, false
	case c == '\\':
		t.place = inEscape
	default:
		valid = c >= ' '
	}
	return !t.cut, valid || !t.cut
}

func isEscape(c byte) bool {
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't', 'u':
		return true
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// shallow returns a copy of body without the values that are too deep for the tokenizer.
func shallow(body []byte) []byte {
	out := bytes.Clone(body)
	n, _ := new(trimmer).trim(out)
	return out[:n]
}
