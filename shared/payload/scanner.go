package payload

// scanner checks one object or array byte by byte, after its opening bracket, without
// a call of its own for each level: nothing is too deep for it. Its memory is one bit
// for each level that is open.
type scanner struct {
	open  bits // true for an object
	state state
	name  bool // the string at hand is a name
	left  int  // hexadecimal digits, or letters of a word, that are still to come
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
	numberSign     // behind the minus
	numberZero     // behind a leading zero
	numberWhole    // among the digits before the point
	numberPoint    // behind the point
	numberFraction // among the digits behind it
	numberE        // behind the e
	numberESign    // behind the sign of the exponent
	numberExponent // among its digits
)

// next takes one byte. done says that it closed the value; ok is false once the text
// is not JSON.
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

// token takes a byte that begins something or stands alone.
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

// value takes the first byte of a value.
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

// firstLetter takes the beginning of one of the three words of JSON.
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

// enter goes into the object or array that an opening bracket begins.
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

// number takes a byte behind the beginning of a number. more is false for one that
// does not belong to it any more.
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
