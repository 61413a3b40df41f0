package payload

import (
	"errors"
	"io"
	"unicode/utf8"
)

var (
	errUTF8   = errors.New("text is not valid UTF-8")
	errSyntax = errors.New("text is not JSON")
)

// source is the reader of the tokenizer. The tokenizer does not check UTF-8, buffers
// tokens of any length and limits depth, so source validates every byte and removes
// what would be too long or too deep.
type source struct {
	r    io.Reader
	trim trimmer
	// failed is an error of the reader, as opposed to one in the text.
	failed error
	// broken is set if the text is not UTF-8.
	broken bool
	// invalid is set if removed text is not JSON.
	invalid bool
	// mark is the number of bytes of a byte order mark at the beginning of the text.
	mark  int
	seen  int // bytes that were compared with one
	ended error
	part  [utf8.UTFMax]byte // the beginning of an incomplete character
	held  int
}

func newSource(r io.Reader) *source { return &source{r: r, trim: trimmer{longest: longString}} }

// Read never returns zero bytes without an error.
func (s *source) Read(p []byte) (int, error) {
	for empty := 0; ; {
		switch {
		case s.broken:
			return 0, errUTF8
		case s.invalid:
			return 0, errSyntax
		case s.ended != nil:
			return 0, s.end()
		case empty == 100:
			s.ended = io.ErrNoProgress
			continue
		}

		var n int
		n, s.ended = s.r.Read(p)
		if n == 0 {
			empty++
			continue
		}
		empty = 0

		s.lookForMark(p[:n])
		if !s.valid(p[:n]) {
			s.broken = true
			continue
		}
		n, ok := s.trim.trim(p[:n])
		s.invalid = !ok
		if n > 0 {
			return n, nil
		}
	}
}

// byteOrderMark must not precede JSON (RFC 8259 §8.1).
const byteOrderMark = "\uFEFF"

func (s *source) lookForMark(b []byte) {
	for _, c := range b {
		if s.seen == len(byteOrderMark) {
			return
		}
		if c == byteOrderMark[s.seen] {
			s.mark++
		}
		s.seen++
	}
}

// marked reports whether the text begins with a byte order mark. It may read some bytes
// that the tokenizer then misses: the walk ends anyway.
func (s *source) marked() bool {
	var one [1]byte
	for s.seen < len(byteOrderMark) && s.mark == s.seen {
		if _, err := s.Read(one[:]); err != nil {
			return false
		}
	}
	return s.mark == len(byteOrderMark)
}

func (s *source) end() error {
	if !errors.Is(s.ended, io.EOF) {
		s.failed = s.ended
		return s.ended
	}
	if s.held > 0 {
		s.broken = true
		return errUTF8
	}
	return io.EOF // bare, as the tokenizer compares it
}

// valid checks the next bytes of the text, which may begin and end within a character.
func (s *source) valid(b []byte) bool {
	for s.held > 0 && len(b) > 0 {
		s.part[s.held] = b[0]
		s.held++
		b = b[1:]
		if utf8.FullRune(s.part[:s.held]) {
			if r, size := utf8.DecodeRune(s.part[:s.held]); r == utf8.RuneError && size <= 1 {
				return false
			}
			s.held = 0
		}
	}

	if utf8.Valid(b) {
		return true
	}

	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax+1; i-- {
		if !utf8.RuneStart(b[i]) {
			continue
		}
		if !utf8.FullRune(b[i:]) {
			s.held = copy(s.part[:], b[i:])
			b = b[:i]
		}
		break
	}

	return utf8.Valid(b)
}
