package event

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-faster/jx"

	"mailroom/shared/fault"
)

// walker goes through one JSON text, checks what the tokenizer leaves open (depth,
// repeated names, bounds) and keeps the first thing that is wrong with a field.
type walker struct {
	d *jx.Decoder
	// src is the reader under d; nil when the text is in memory.
	src  *source
	seed maphash.Seed

	depth int
	path  []step

	idFault    *fault.Error
	fieldFault *fault.Error
	unknown    int
	stranger   string // the first unknown field
}

// step is one element of a path: a name, or an index when that is not negative.
type step struct {
	name  string
	index int
}

// where gives the path of the value at hand, such as attachments[3].filename.
func (w *walker) where() string {
	var b strings.Builder
	for _, s := range w.path {
		if s.index >= 0 {
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.name)
	}
	return b.String()
}

// wrong notes that the value at hand breaks the schema; reading goes on.
func (w *walker) wrong(format string, args ...any) {
	if w.fieldFault == nil {
		w.fieldFault = fault.New(fault.FieldInvalid, w.where()+fmt.Sprintf(format, args...))
	}
}

// mismatch notes a wrong type and skips the value.
func (w *walker) mismatch(expected string) error {
	w.wrong(" must be %s", expected)
	return w.skip()
}

func malformed(why string) error {
	return fault.New(fault.JSONMalformed, "the body is not acceptable JSON: "+why)
}

// failure gives the error of a walk that ended early: a fault as it is, the
// reader's failure as its own, everything else as malformed.
func (w *walker) failure(err error) error {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f
	case w.src != nil && w.src.failed != nil:
		return fmt.Errorf("read body: %w", w.src.failed)
	case errors.Is(err, errUTF8), w.src != nil && w.src.broken:
		return malformed("it is not valid UTF-8")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("it ends too early")
	default:
		return malformed("it has a syntax error") // the tokenizer's words quote the body
	}
}

// document reads one object and makes sure that nothing follows it.
func (w *walker) document(member func(name string) error) error {
	switch w.d.Next() {
	case jx.Object:
	case jx.Invalid:
		if w.src != nil && w.src.marked() {
			return malformed("it begins with a byte order mark")
		}
		if err := w.d.Skip(); err != nil {
			return err
		}
		return malformed("it has a syntax error")
	default:
		return malformed("it must be an object")
	}
	if err := w.object(member); err != nil {
		return err
	}
	switch err := w.d.Skip(); {
	case errors.Is(err, io.EOF) && (w.src == nil || w.src.failed == nil):
		return nil
	case err != nil:
		return err
	default:
		return malformed("something follows the object")
	}
}

// inside says in which field of the body, and in which element of it, the reading
// is; at the top it is in none.
func (w *walker) inside() string {
	if len(w.path) == 0 {
		return ""
	}
	place := printable(w.path[0].name)
	if len(w.path) > 1 && w.path[1].index >= 0 {
		place += "[" + strconv.Itoa(w.path[1].index) + "]"
	}
	return ", in " + place
}

// object calls member for each name, with the decoder before its value.
func (w *walker) object(member func(name string) error) error {
	if err := w.enter(); err != nil {
		return err
	}
	it, err := w.d.ObjIter()
	if err != nil {
		return fmt.Errorf("read object: %w", err)
	}
	var names members
	for {
		w.bound(6*maxName + maxGap)
		more := it.Next()
		w.bound(-1)
		if errors.Is(it.Err(), errTooLong) || more && len(it.Key()) > maxName {
			return malformed("a name is longer than 1,024 bytes or lies in more than 64 KiB of white space" + w.inside())
		}
		if !more {
			break
		}
		name := string(it.Key())
		switch names.add(maphash.String(w.seed, name)) {
		case repeated:
			return malformed("the name " + strconv.Quote(printable(name)) + " occurs twice in one object" + w.inside())
		case tooMany:
			return malformed("an object has more than 10,000 names" + w.inside())
		}
		w.path = append(w.path, step{name: name, index: -1})
		if err := member(name); err != nil {
			return err
		}
		w.path = w.path[:len(w.path)-1]
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read object: %w", err)
	}
	w.depth--
	return nil
}

// array calls element for each value. Values from the index limit on are noted as
// one too many and skipped.
func (w *walker) array(limit int, element func() error) error {
	if err := w.enter(); err != nil {
		return err
	}
	index := 0
	err := w.d.Arr(func(*jx.Decoder) error {
		if limit > 0 && index >= limit {
			if index == limit {
				w.wrong(" has more than %s elements", thousands(limit))
			}
			index++
			return w.skip()
		}
		w.path = append(w.path, step{index: index})
		if err := element(); err != nil {
			return err // with the path to where it happened
		}
		w.path = w.path[:len(w.path)-1]
		index++
		return nil
	})
	if err != nil {
		return fmt.Errorf("read array: %w", err)
	}
	w.depth--
	return nil
}

func (w *walker) enter() error {
	if w.depth++; w.depth > MaxDepth {
		return malformed("it is nested more than 64 levels deep" + w.inside())
	}
	return nil
}

// skip passes over any value and still finds what makes it unacceptable.
func (w *walker) skip() error {
	switch w.d.Next() {
	case jx.Object:
		return w.object(func(string) error { return w.skip() })
	case jx.Array:
		return w.array(0, w.skip)
	default:
		if err := w.d.Skip(); err != nil {
			return fmt.Errorf("skip value: %w", err)
		}
		return nil
	}
}

// unknownField counts a name that the schema does not have.
func (w *walker) unknownField() error {
	if w.unknown == 0 {
		w.foreign()
		w.stranger = w.where()
	}
	w.unknown++
	return w.skip()
}

// foreign marks the last name of the path as not ours: it shows cut and cleaned.
func (w *walker) foreign() {
	last := &w.path[len(w.path)-1]
	last.name = printable(last.name)
}

// null reports whether the value is null, and passes over it.
func (w *walker) null() (bool, error) {
	if w.d.Next() != jx.Null {
		return false, nil
	}
	if err := w.d.Null(); err != nil {
		return false, fmt.Errorf("read null: %w", err)
	}
	return true, nil
}

// bounded reads a string of at most limit bytes; a longer one is errTooLong, after
// which the text cannot be read further. The result is valid until the next read.
func (w *walker) bounded(limit int) ([]byte, error) {
	w.bound(6*limit + 16) // an escape spends six bytes on one
	b, err := w.d.StrBytes()
	w.bound(-1)
	if err != nil {
		return nil, fmt.Errorf("read string: %w", err)
	}
	if len(b) > limit {
		return nil, errTooLong
	}
	return b, nil
}

// number reads a number as it is written.
func (w *walker) number() (string, error) {
	w.bound(maxNumber + 16)
	num, err := w.d.Num()
	w.bound(-1)
	if errors.Is(err, errTooLong) || len(num) > maxNumber {
		w.wrong(" is longer than %d digits", maxNumber)
		return "", w.fieldFault
	}
	if err != nil {
		return "", fmt.Errorf("read number: %w", err)
	}
	return string(num), nil
}

// bound sets how many bytes the tokenizer may fetch from now on; -1 lifts it.
func (w *walker) bound(n int) {
	if w.src != nil {
		w.src.left = n
	}
}

// printable makes a name of somebody else's fit for an error: at most 64
// characters, each of them visible.
func printable(name string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if n++; n > 64 {
			return -1
		}
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, name)
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
