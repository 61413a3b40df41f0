package payload

import (
	"bytes"
	"unicode/utf8"
)

// What the tokenizer gets to see of a body at most. It collects a token of any length
// and refuses more than 10,000 levels; the trimmer keeps both away from it.
const (
	// longString is where a string is cut for Peek, in bytes as they are written. An
	// escape spends six on one, so that what is cut is above every bound of a field.
	longString = 8 << 10
	// longDigits is how many digits in a row are passed on.
	longDigits = maxNumber + 44
	// trimDepth is the last level that is passed on: one more than MaxDepth, so that
	// the walker sees that there is something too deep.
	trimDepth = MaxDepth + 1
)

// place is what kind of text the trimmer is in.
type place int

const (
	outside place = iota
	inString
	inEscape
	inHex
	inDeep
)

// trimmer shortens a JSON text in one pass, whatever pieces it comes in: of values
// deeper than trimDepth it leaves an empty object or array, of long strings their
// beginning, of long runs of digits or white space as much as it takes to tell that
// they are long. What it leaves out it checks, so that the rest is valid JSON exactly
// when the whole is. Its memory is one bit for each level.
type trimmer struct {
	// longest is where strings are cut; zero: nowhere.
	longest int

	place  place
	length int // bytes of the string so far
	cut    bool
	hex    int // hexadecimal digits of an escape that are still to come
	digits int // in a row
	space  bool
	depth  int
	deep   scanner
}

// trim shortens the next piece of the text in place and returns how much of it is
// left. ok is false once something that was left out is not JSON.
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

// outside takes a byte between strings. The tokenizer checks what it passes on.
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

// inside takes a byte of a string. A string is cut between two characters or escapes,
// never within one; what is cut off is checked.
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

// shallow returns body without what is too deep for the tokenizer, in memory of its
// own.
func shallow(body []byte) []byte {
	out := bytes.Clone(body)
	n, _ := new(trimmer).trim(out)
	return out[:n]
}
