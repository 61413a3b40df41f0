package payload

// scanner checks one object or array byte by byte, after its opening bracket. It does
// not recurse, so that no depth exhausts the stack: its memory is one bit for each open
// level.
type scanner struct {
	open  bits // true for an object
	state state
	name  bool // the current string is a name
	left  int  // remaining hexadecimal digits, or letters of a word
	word  string
}

type state int

const (
	wantValue state = iota
	wantFirstValue
	wantName
	wantFirstName
	wantColon
	wantComma
	inText
	inTextEscape
	inTextHex
	inWord
	numberSign     // after the minus
	numberZero     // after a leading zero
	numberWhole    // in the digits before the point
	numberPoint    // after the point
	numberFraction // in the digits after the point
	numberE        // after the e
	numberESign    // after the sign of the exponent
	numberExponent // in the digits of the exponent
)

// next reads one byte. done means that it ended the value; ok is false if the text is
// not JSON.
func (s *scanner) next(c byte) (done, ok bool) {
	switch s.state {
	case inText, inTextEscape, inTextHex:
		return false, s.text(c)
	case inWord:
		return false, s.letter(c)
	}
	if s.state >= numberSign {
		more, ok := s.number(c)
		if more || !ok {
			return false, ok
		}
	}
	if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
		return false, true
	}
	return s.token(c)
}

// token reads a byte outside of strings, numbers and words.
func (s *scanner) token(c byte) (done, ok bool) {
	switch s.state {
	case wantColon:
		s.state = wantValue
		return false, c == ':'
	case wantName, wantFirstName:
		if c == '"' {
			s.state, s.name = inText, true
			return false, true
		}
		if c == '}' && s.state == wantFirstName {
			return s.leave(), true
		}
		return false, false
	case wantComma:
		switch {
		case c == ',' && s.open.top():
			s.state = wantName
			return false, true
		case c == ',':
			s.state = wantValue
			return false, true
		case c == '}' && s.open.top(), c == ']' && !s.open.top():
			return s.leave(), true
		}
		return false, false
	}

	if c == ']' && s.state == wantFirstValue {
		return s.leave(), true
	}
	return false, s.value(c)
}

// value reads the first byte of a value.
func (s *scanner) value(c byte) (ok bool) {
	switch {
	case c == '{', c == '[':
		s.enter(c == '{')
	case c == '"':
		s.state, s.name = inText, false
	case c == '-':
		s.state = numberSign
	case c == '0':
		s.state = numberZero
	case c >= '1' && c <= '9':
		s.state = numberWhole
	default:
		return s.firstLetter(c)
	}
	return true
}

// firstLetter reads the first letter of true, false or null.
func (s *scanner) firstLetter(c byte) (ok bool) {
	s.state = inWord
	switch c {
	case 't':
		s.word = "true"
	case 'f':
		s.word = "false"
	case 'n':
		s.word = "null"
	default:
		return false
	}
	s.word = s.word[1:]
	return true
}

// enter goes into an object or array.
func (s *scanner) enter(object bool) {
	s.open.push(object)
	s.state = wantFirstValue
	if object {
		s.state = wantFirstName
	}
}

func (s *scanner) leave() (done bool) {
	s.open.pop()
	s.state = wantComma
	return s.open.n == 0
}

func (s *scanner) letter(c byte) (ok bool) {
	ok = c == s.word[0]
	if s.word = s.word[1:]; s.word == "" {
		s.state = wantComma
	}
	return ok
}

func (s *scanner) text(c byte) (ok bool) {
	switch s.state {
	case inTextEscape:
		s.state = inText
		if c == 'u' {
			s.state, s.left = inTextHex, 4
		}
		return isEscape(c)
	case inTextHex:
		if s.left--; s.left == 0 {
			s.state = inText
		}
		return isHex(c)
	}

	switch {
	case c == '\\':
		s.state = inTextEscape
	case c == '"' && s.name:
		s.state = wantColon
	case c == '"':
		s.state = wantComma
	}
	return c >= ' '
}

// number reads a byte after the first of a number. more is false if the byte is not
// part of the number.
func (s *scanner) number(c byte) (more, ok bool) {
	digit := c >= '0' && c <= '9'
	switch s.state {
	case numberSign:
		s.state = numberWhole
		if c == '0' {
			s.state = numberZero
		}
		return true, digit
	case numberPoint:
		s.state = numberFraction
		return true, digit
	case numberE:
		s.state = numberExponent
		if c == '+' || c == '-' {
			s.state = numberESign
			return true, true
		}
		return true, digit
	case numberESign:
		s.state = numberExponent
		return true, digit
	}

	switch {
	case digit:
		return true, s.state != numberZero
	case c == '.' && (s.state == numberZero || s.state == numberWhole):
		s.state = numberPoint
	case (c == 'e' || c == 'E') && s.state != numberExponent:
		s.state = numberE
	default:
		s.state = wantComma
		return false, true
	}

	return true, true
}

// bits is a stack of bits.
type bits struct {
	words []uint64
	n     int
}

func (b *bits) push(set bool) {
	if b.n == 64*len(b.words) {
		b.words = append(b.words, 0)
	}
	mask := uint64(1) << (b.n % 64)
	b.words[b.n/64] &^= mask
	if set {
		b.words[b.n/64] |= mask
	}
	b.n++
}

func (b *bits) top() bool { return b.words[(b.n-1)/64]&(1<<((b.n-1)%64)) != 0 }

func (b *bits) pop() { b.n-- }
