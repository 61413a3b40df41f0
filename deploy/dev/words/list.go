package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// finding is one place to rewrite.
type finding struct {
	path   string
	line   int
	phrase string // as it stands there
	write  string
}

func (f finding) String() string {
	if f.phrase == "" {
		return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.write)
	}
	return fmt.Sprintf("%s:%d: %q → write %q", f.path, f.line, f.phrase, f.write)
}

// phrase is a line of the list, with its alternatives written out.
type phrase struct {
	words   []string // lower case; the last characters of one may be *
	write   string
	opening bool // only at the start of a sentence of a Go comment
}

// list is words.txt. Phrases are found by their first word.
type list struct {
	text, names, functions, allowed phrases
}

// phrases holds phrases by their first word, or by its start where it ends in *.
type phrases struct {
	exact, prefix map[string][]phrase
}

// readList reads words.txt.
func readList(path string) (*list, error) {
	lines, err := readLines(path)
	if err != nil {
		return nil, err
	}

	var l list
	sections := map[string]*phrases{
		"[text]": &l.text, "[names]": &l.names, "[functions]": &l.functions, "[allowed]": &l.allowed,
	}
	for _, s := range sections {
		s.exact, s.prefix = map[string][]phrase{}, map[string][]phrase{}
	}

	var into *phrases
	for _, line := range lines {
		if section, ok := sections[line.text]; ok {
			into = section
			continue
		}
		words, write, ok := strings.Cut(line.text, "=>")
		if into == nil || !ok && into != &l.allowed {
			return nil, fmt.Errorf("%s:%d: not of the form: phrase => what to write", path, line.number)
		}
		into.add(strings.ToLower(strings.TrimSpace(words)), strings.TrimSpace(write))
	}
	return &l, nil
}

// add writes out the alternatives of a phrase.
func (p *phrases) add(text, write string) {
	text, opening := strings.CutPrefix(text, "^")

	all := [][]string{nil}
	for _, word := range strings.Fields(text) {
		var longer [][]string
		for _, alternative := range strings.Split(word, "/") {
			for _, sofar := range all {
				longer = append(longer, append(slices.Clone(sofar), alternative))
			}
		}
		all = longer
	}

	for _, words := range all {
		first, by := words[0], p.exact
		if start, ok := strings.CutSuffix(first, "*"); ok {
			first, by = start, p.prefix
		}
		by[first] = append(by[first], phrase{words, write, opening})
	}
}

// starting returns the phrases that can begin with word, the longest first.
func (p *phrases) starting(word string) []phrase {
	found := p.exact[word]
	for start := range maps.Keys(p.prefix) {
		if strings.HasPrefix(word, start) {
			found = append(slices.Clone(found), p.prefix[start]...)
		}
	}
	return found
}

// fits reports whether a word is the one of a phrase.
func fits(pattern, word string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(word, start)
	}
	return pattern == word
}

// exceptions are the places where a word has to stay.
type exceptions struct {
	path string
	all  []*exception
}

type exception struct {
	line         int
	path, phrase string
	used         bool
}

// readExceptions reads exceptions.txt.
func readExceptions(file string) (*exceptions, error) {
	lines, err := readLines(file)
	if err != nil {
		return nil, err
	}

	e := &exceptions{path: home + "/exceptions.txt"}
	for _, line := range lines {
		parts := strings.SplitN(line.text, ": ", 3)
		if len(parts) < 3 || strings.TrimSpace(parts[2]) == "" {
			return nil, fmt.Errorf("%s:%d: not of the form: path: phrase: why", file, line.number)
		}
		e.all = append(e.all, &exception{line: line.number, path: parts[0], phrase: strings.ToLower(parts[1])})
	}
	return e, nil
}

// filter returns the findings that no exception is for.
func (e *exceptions) filter(found []finding) []finding {
	return slices.DeleteFunc(found, func(f finding) bool {
		for _, x := range e.all {
			if matches, _ := path.Match(x.path, f.path); matches && (x.phrase == "*" || x.phrase == strings.ToLower(f.phrase)) {
				x.used = true
				return true
			}
		}
		return false
	})
}

// unused returns the exceptions that nothing needed.
func (e *exceptions) unused() []finding {
	var found []finding
	for _, x := range e.all {
		if !x.used {
			found = append(found, finding{path: e.path, line: x.line, write: "nothing needs this exception: remove it"})
		}
	}
	return found
}
