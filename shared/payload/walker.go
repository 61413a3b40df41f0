package payload

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
	"mailroom/shared/mail"
)

// maxProblems is how many ways in which a body breaks the schema are described; all
// are counted.
const maxProblems = 100

// walker goes through one JSON text, checks what the tokenizer leaves open (repeated
// names, bounds) and keeps what is wrong with its fields.
type walker struct {
	d *jx.Decoder
	// src is the reader under d; nil when the text is in memory.
	src  *source
	seed maphash.Seed

	depth int
	path  []step
	place int  // of the name that was read last in its object
	deep  bool // something lies deeper than MaxDepth

	idFault  *fault.Error
	refusal  *fault.Error // what a strict source answers: the first breach
	breaches int
	problems []mail.Problem
	unknown  int
	stranger *fault.Error // what a strict source answers to the first unknown field
}

// step is one element of a path: a name, or an index when that is not negative.
type step struct {
	name  string
	index int
	// place is which field of its object a name is, from one on, where the sender has
	// chosen the name; zero for a name of the schema.
	place int
}

// where returns the path of the value at hand, such as attachments[3].filename. Names
// that the sender has chosen are in it for the sender alone; for other readers their
// place stands there, as in "headers, field 4".
func (w *walker) where(forSender bool) string { return where(w.path, forSender) }

func where(path []step, forSender bool) string {
	var b strings.Builder
	for _, s := range path {
		switch {
		case s.index >= 0:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
			continue
		case s.place > 0 && !forSender:
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			b.WriteString("field " + strconv.Itoa(s.place))
			continue
		case b.Len() > 0:
			b.WriteByte('.')
		}
		if s.place > 0 {
			b.WriteString(printable(s.name))
		} else {
			b.WriteString(s.name)
		}
	}

	return b.String()
}

// wrong notes that the value at hand breaks the schema; reading goes on.
func (w *walker) wrong(format string, args ...any) {
	w.wrongAt("", format, args...)
}

// wrongAt does so for a field of the value at hand.
func (w *walker) wrongAt(field, format string, args ...any) {
	if w.breaches++; w.breaches > maxProblems {
		return
	}
	detail := fmt.Sprintf(format, args...)
	if w.refusal == nil {
		w.refusal = fault.New(fault.FieldInvalid, w.where(true)+field+" "+detail)
	}
	w.problems = append(w.problems, mail.Problem{Field: w.where(false) + field, Detail: detail, Breach: true})
}

// mismatch notes a wrong type and skips the value.
func (w *walker) mismatch(expected string) error {
	w.wrong("must be %s", expected)
	return w.skip()
}

// tooMuch notes a bound of the JSON itself that the value at hand goes beyond.
func (w *walker) tooMuch(detail string) {
	if w.breaches++; w.breaches > maxProblems {
		return
	}
	if w.refusal == nil {
		w.refusal = malformed("it " + detail + w.inside(true))
	}
	w.problems = append(w.problems, mail.Problem{Field: "the body", Detail: detail + w.inside(false), Breach: true})
}

func malformed(why string) *fault.Error {
	return fault.New(fault.JSONMalformed, "the body is not acceptable JSON: "+why)
}

// failure returns the error of a walk that ended early: a fault as it is, the
// reader's failure as its own, everything else as malformed.
func (w *walker) failure(err error) error {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f
	case w.src != nil && w.src.failed != nil:
		return fmt.Errorf("read body: %w", w.src.failed)
	case w.src != nil && w.src.broken:
		return malformed("it is not valid UTF-8")
	case w.src != nil && w.src.invalid:
		return malformed("it has a syntax error")
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
func (w *walker) inside(forSender bool) string {
	path := w.path
	if len(path) == 0 {
		return ""
	}
	if len(path) > 1 && path[1].index >= 0 {
		return ", in " + where(path[:2], forSender)
	}
	return ", in " + where(path[:1], forSender)
}

// object calls member for each name, with the decoder before its value. A name that
// is too long has its value skipped; of more names than MaxMembers in one object, the
// schema's own are still read.
func (w *walker) object(member func(name string) error) error {
	w.enter()
	it, err := w.d.ObjIter()
	if err != nil {
		return fmt.Errorf("read object: %w", err)
	}

	var names members
	for place := 1; it.Next(); place++ {
		if len(it.Key()) > maxName {
			w.tooMuch("has a name that is longer than 1,024 bytes")
			if err := w.skip(); err != nil {
				return err
			}
			continue
		}
		name := string(it.Key())
		switch names.add(maphash.String(w.seed, name), isField[name]) {
		case repeated:
			return w.twice(name)
		case oneTooMany:
			w.tooMuch("has an object of more than 10,000 names")
		}

		w.path = append(w.path, step{name: name, index: -1})
		w.place = place
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

// twice refuses a name that an object has already.
func (w *walker) twice(name string) error {
	const why = " occurs twice in one object"
	f := malformed("the name " + strconv.Quote(printable(name)) + why + w.inside(true))
	f.Err = nameless("the body is not acceptable JSON: a name" + why + w.inside(false))
	return f
}

// nameless says what a refusal says, without a name that the sender has chosen.
type nameless string

func (n nameless) Error() string { return string(n) }

// Nameless returns the sentence of an error of Peek or Decode for others than the
// sender: without names that the sender has chosen.
func Nameless(err error) string {
	var n nameless
	if errors.As(err, &n) {
		return string(n)
	}
	return fault.From(err).Public
}

// array calls element for each value. Values from the index limit on are counted and
// skipped.
func (w *walker) array(limit int, element func() error) error {
	w.enter()
	count := 0
	err := w.d.Arr(func(*jx.Decoder) error {
		if count++; limit > 0 && count > limit {
			return w.skip()
		}
		w.path = append(w.path, step{index: count - 1})
		if err := element(); err != nil {
			return err // with the path to where it happened
		}
		w.path = w.path[:len(w.path)-1]
		return nil
	})
	if err != nil {
		return fmt.Errorf("read array: %w", err)
	}
	if limit > 0 && count > limit {
		w.wrong("has %s elements, more than %s", thousands(count), thousands(limit))
	}

	w.depth--
	return nil
}

// enter goes one level down. What lies deeper than MaxDepth has been emptied on the
// way here.
func (w *walker) enter() {
	if w.depth++; w.depth > MaxDepth {
		w.deep = true
		w.tooMuch("is nested more than 64 levels deep")
	}
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
	w.foreign()
	if w.unknown == 0 {
		const why = "the schema has no field "
		w.stranger = fault.Wrap(fault.FieldUnknown, why+w.where(true), nameless(why+"that is given as "+w.where(false)))
	}
	w.unknown++
	return w.skip()
}

// foreign marks the last name of the path as not ours.
func (w *walker) foreign() { w.path[len(w.path)-1].place = w.place }

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

// bounded reads a string of at most limit bytes; of a longer one, all that is told is
// that it is. The result is valid until the next read.
func (w *walker) bounded(limit int) (b []byte, ok bool, err error) {
	b, err = w.d.StrBytes()
	if err != nil {
		return nil, false, fmt.Errorf("read string: %w", err)
	}
	return b, len(b) <= limit, nil
}

// number reads a number as it is written. ok is false for one that is too long.
func (w *walker) number() (num string, ok bool, err error) {
	text, err := w.d.Num()
	if err != nil {
		return "", false, fmt.Errorf("read number: %w", err)
	}
	if len(text) > maxNumber {
		w.wrong("is longer than %d digits", maxNumber)
		return "", false, nil
	}
	return string(text), true, nil
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
	return thousands(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
