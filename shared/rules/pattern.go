package rules

import "strings"

// pattern is a compiled pattern: the literal pieces between its stars.
type pattern struct {
	text        string // as configured
	exact       bool   // no star: first is the whole text
	exactCase   bool
	first, last string
	middle      []string
}

// compile returns a case-insensitive pattern.
func compile(text string) pattern { return compileAs(text, false) }

// compileAs returns a case-sensitive or case-insensitive pattern.
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

// match finds the pieces from left to right, each at its first position. Since only
// stars separate them, an earlier position is never worse: there is no backtracking.
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

// fold makes texts that differ only in case equal.
func fold(s string) string { return strings.ToLower(s) }
