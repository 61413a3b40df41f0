package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// CheckNote returns what is wrong with a note that a person has written, in one sentence
// without its full stop; nil when nothing is.
func CheckNote(note string) error {
	if err := checkNote(note); err != nil {
		return err
	}
	if !plainLines(note) {
		return errors.New("the note must not hold control characters")
	}
	return nil
}

// checkNote has the rules that hold for every note, whatever way it comes. A workflow
// asks for no more: it has taken signals with control characters before.
func checkNote(note string) error {
	switch {
	case strings.TrimSpace(note) == "":
		return errors.New("the note must say why")
	case len(note) > MaxNote:
		return fmt.Errorf("the note has at most %d bytes", MaxNote)
	}
	return nil
}

// CheckDecision returns what is wrong with a decision whatever the state of the email, as
// CheckNote does. It never repeats what was sent.
func CheckDecision(d Decision) error {
	if !slices.Contains(Actions, d.Action) {
		return fmt.Errorf("action must be one of %s", list(Actions))
	}
	if err := checkNote(d.Note); err != nil {
		return err
	}
	switch {
	case d.Action == Edited && d.Edit == nil:
		return errors.New("edit must say what to change")
	case d.Action != Edited && d.Edit != nil:
		return fmt.Errorf("edit goes with the action %s alone", Edited)
	case d.From != "" && d.Action != Retry:
		return fmt.Errorf("from goes with the action %s alone", Retry)
	case d.From != "" && !slices.Contains(Steps, d.From):
		return fmt.Errorf("from must be one of %s", list(Steps))
	}
	return nil
}

func list[T ~string](of []T) string {
	out := make([]string, len(of))
	for i, one := range of {
		out[i] = string(one)
	}
	return strings.Join(out, ", ")
}

// plainLines reports whether text is valid UTF-8 without control characters but line
// feeds and tabs.
func plainLines(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r <= 0x9f
	})
}
