package payload

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strconv"

	"github.com/go-faster/jx"

	"mailroom/shared/fault"
)

// walker reads one JSON text. It checks what the tokenizer does not, repeated names and
// bounds, and reports breaches.
type walker struct {
	report

	d    *jx.Decoder
	src  *source // the reader of d; nil if the text is in memory
	seed maphash.Seed

	depth   int
	tooDeep bool // a value is deeper than MaxDepth
}

// mismatch reports a wrong type and skips the value.
func (w *walker) mismatch(expected string) error {
	w.wrong("must be %s", expected)
	return w.skip()
}

// failure returns the error of a walk that ended early: a fault unchanged, an error of
// the reader wrapped, everything else as malformed.
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
		return malformed("it has a syntax error") // the tokenizer's error quotes the body
	}
}

// document reads one object and checks that nothing follows it.
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

// object calls member for each name, with the decoder before its value. The value of a
// name that is too long is skipped. Beyond MaxMembers names in one object, only those of
// the schema are compared with each other.
func (w *walker) object(member func(name string) error) error {
	w.enter()
	it, err := w.d.ObjIter()
	if err != nil {
		return fmt.Errorf("read object: %w", err)
	}

	var names members
	for place := 1; it.Next(); place++ {
		if len(it.Key()) > maxName {
			w.exceeds("has a name that is longer than 1,024 bytes")
			if err := w.skip(); err != nil {
				return err
			}
			continue
		}
		name := string(it.Key())
		switch names.add(maphash.String(w.seed, name), isField[name]) {
		case repeated:
			return w.duplicate(name)
		case oneTooMany:
			w.exceeds("has an object of more than 10,000 names")
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

// duplicate returns the refusal of a name that occurs twice in an object.
func (w *walker) duplicate(name string) error {
	const why = " occurs twice in one object"
	f := malformed("the name " + strconv.Quote(printable(name)) + why + w.inside(true))
	f.Err = nameless("the body is not acceptable JSON: a name" + why + w.inside(false))
	return f
}

// nameless is the text of a refusal without names chosen by the sender.
type nameless string

func (n nameless) Error() string { return string(n) }

// Nameless returns the text of an error of Peek or Decode for readers other than the
// sender: without names that the sender has chosen.
func Nameless(err error) string {
	var n nameless
	if errors.As(err, &n) {
		return string(n)
	}
	return fault.From(err).Public
}

// array calls element for each value. Values beyond limit are counted and skipped.
func (w *walker) array(limit int, element func() error) error {
	w.enter()
	count := 0
	err := w.d.Arr(func(*jx.Decoder) error {
		if count++; limit > 0 && count > limit {
			return w.skip()
		}
		w.path = append(w.path, step{index: count - 1})
		if err := element(); err != nil {
			return err // the path stays that of the error
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

// enter goes one level down. The trimmer has already emptied values deeper than MaxDepth.
func (w *walker) enter() {
	if w.depth++; w.depth > MaxDepth {
		w.tooDeep = true
		w.exceeds("is nested more than 64 levels deep")
	}
}

// skip skips a value and still checks it.
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

// unknownField counts a name that is not in the schema, and skips its value.
func (w *walker) unknownField() error {
	w.foreign()
	if w.unknown == 0 {
		const why = "the schema has no field "
		w.unknownFault = fault.Wrap(fault.FieldUnknown, why+w.where(true), nameless(why+"that is given as "+w.where(false)))
	}
	w.unknown++
	return w.skip()
}

// null reports whether the value is null, and skips it.
func (w *walker) null() (bool, error) {
	if w.d.Next() != jx.Null {
		return false, nil
	}
	if err := w.d.Null(); err != nil {
		return false, fmt.Errorf("read null: %w", err)
	}
	return true, nil
}

// bounded reads a string; ok is false if it is longer than limit bytes. The result is
// valid until the next read.
func (w *walker) bounded(limit int) (b []byte, ok bool, err error) {
	b, err = w.d.StrBytes()
	if err != nil {
		return nil, false, fmt.Errorf("read string: %w", err)
	}
	return b, len(b) <= limit, nil
}

// number reads a number as written. ok is false if it is too long, which is a breach.
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
