package payload

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// maxProblems is how many breaches are described; all are counted.
const maxProblems = 100

// report collects what is wrong with a body. It knows the path of the value that is
// being read.
type report struct {
	path  []step
	place int // of the last name in its object, counted from one

	idFault  *fault.Error
	refusal  *fault.Error // the answer of a strict source to the first breach
	breaches int
	problems []mail.Problem

	unknown      int
	unknownFault *fault.Error // the answer of a strict source to the first unknown field
}

// step is one element of a path: a name, or an index if that is not negative.
type step struct {
	name  string
	index int
	// place is the position of a name in its object, from one, if the sender has
	// chosen the name; zero for a name of the schema.
	place int
}

// where returns the path of the current value, such as attachments[3].filename. Names
// that the sender has chosen are shown only to the sender; for others their position is
// shown, as in "headers, field 4".
func (r *report) where(forSender bool) string { return where(r.path, forSender) }

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

// inside names the field of the body, and its element, with the current value; it is
// empty at the top level.
func (r *report) inside(forSender bool) string {
	path := r.path
	if len(path) == 0 {
		return ""
	}
	if len(path) > 1 && path[1].index >= 0 {
		return ", in " + where(path[:2], forSender)
	}
	return ", in " + where(path[:1], forSender)
}

// foreign marks the last name of the path as chosen by the sender.
func (r *report) foreign() { r.path[len(r.path)-1].place = r.place }

// wrong reports that the current value breaks the schema.
func (r *report) wrong(format string, args ...any) {
	r.wrongAt("", format, args...)
}

// wrongAt is wrong for a field of the current value.
func (r *report) wrongAt(field, format string, args ...any) {
	if r.breaches++; r.breaches > maxProblems {
		return
	}
	detail := fmt.Sprintf(format, args...)
	if r.refusal == nil {
		r.refusal = fault.New(fault.FieldInvalid, r.where(true)+field+" "+detail)
	}
	r.problems = append(r.problems, mail.Problem{Field: r.where(false) + field, Detail: detail, Breach: true})
}

// exceeds reports that the current value exceeds a bound of the JSON itself.
func (r *report) exceeds(detail string) {
	if r.breaches++; r.breaches > maxProblems {
		return
	}
	if r.refusal == nil {
		r.refusal = malformed("it " + detail + r.inside(true))
	}
	r.problems = append(r.problems, mail.Problem{Field: "the body", Detail: detail + r.inside(false), Breach: true})
}

// problem reports that the current value is valid JSON and cannot be read as mail.
func (r *report) problem(detail string) {
	r.problems = append(r.problems, mail.Problem{Field: r.where(false), Detail: detail})
}

// wrongID reports the first invalid id.
func (r *report) wrongID(why string) {
	if r.idFault == nil {
		r.idFault = fault.New(fault.EventIDInvalid, r.where(true)+why)
	}
}

func malformed(why string) *fault.Error {
	return fault.New(fault.JSONMalformed, "the body is not acceptable JSON: "+why)
}

// printable returns a name chosen by the sender in a form for errors: at most 64
// characters, all visible.
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
