package rules

import "strings"

// pattern is a compiled pattern: the literal pieces between its stars.
type pattern struct {
	text        string // as it is configured
	exact       bool   // no star: first is all
	exactCase   bool
	first, last string
	middle      []string
}

// compile makes a pattern that is matched in any case.
func compile(text string) pattern { return compileAs(text, false) }

// compileAs makes a pattern that is matched in its own case, or in any.
func compileAs(text string, exactCase bool) pattern {
	p := pieces(text, exactCase)
	p.text, p.exactCase = text, exactCase
	return p
}

func pieces(text string, exactCase bool) pattern {
	if !exactCase {
		text = fold(text)
	}
	pieces := strings.Split(text, "*")
	if len(pieces) == 1 {
		return pattern{exact: true, first: pieces[0]}
	}
	p := pattern{first: pieces[0], last: pieces[len(pieces)-1]}
	for _, piece := range pieces[1 : len(pieces)-1] {
		if piece != "" {
			p.middle = append(p.middle, piece)
		}
	}
	return p
}

// match takes the pieces from left to right, each at its first place: with
// nothing but stars between them an earlier place is never the worse one, so
// that no step is ever taken back.
func (p pattern) match(text string) bool {
	if !p.exactCase {
		text = fold(text)
	}
	if p.exact {
		return text == p.first
	}

	text, ok := strings.CutPrefix(text, p.first)
	if !ok {
		return false
	}

	text, ok = strings.CutSuffix(text, p.last)
	if !ok {
		return false
	}

	for _, piece := range p.middle {
		at := strings.Index(text, piece)
		if at < 0 {
			return false
		}
		text = text[at+len(piece):]
	}

	return true
}

// fold makes texts that differ in case alone equal.
func fold(s string) string { return strings.ToLower(s) }
