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

// source feeds the tokenizer, which checks no UTF-8, collects a token of any length
// and does not go deep: it validates every byte that passes and leaves out what would
// be too much.
type source struct {
	r    io.Reader
	trim trimmer
	// failed is the reader's own failure, as opposed to a fault of the text.
	failed error
	// broken is set once the text is not UTF-8.
	broken bool
	// invalid is set once something that was left out is not JSON.
	invalid bool
	// mark counts the bytes of a byte order mark that the text begins with.
	mark  int
	seen  int // bytes that have been looked at for one
	ended error
	part  [utf8.UTFMax]byte // the beginning of a character whose rest comes next
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

// byteOrderMark may stand before no JSON (RFC 8259 §8.1).
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

// marked reports whether the text begins with a byte order mark. It may read a
// little further, past the tokenizer: nothing can be read after it.
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

// valid checks the next bytes of the text, which may begin and end inside a character.
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
