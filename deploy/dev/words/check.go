package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// longFunction is the number of lines from which a function needs a blank line.
const longFunction = 20

// code stands for each byte of a text that is not prose: no phrase goes across it.
const code = 0

// check returns what is to be rewritten in one file.
func (l *list) check(path string, text []byte) ([]finding, error) {
	switch filepath.Ext(path) {
	case ".go":
		return l.checkGo(path, text)
	case ".sql":
		return l.checkProse(path, commentsOfSQL(text), false), nil
	case ".md":
		return l.checkProse(path, blank(text, codeSpan), false), nil
	case ".html", ".tmpl":
		return l.checkProse(path, blank(text, action), false), nil
	}
	return l.checkProse(path, leaders(text), false), nil
}

var (
	codeSpan = regexp.MustCompile("`[^`\n]+`")
	action   = regexp.MustCompile(`(?s)\{\{.*?\}\}|(?:class|id|name|href|src)="[^"]*"`)
	tag      = regexp.MustCompile("^`\\w+:\"")
	leader   = regexp.MustCompile(`(?m)^[ \t]*(?:#+|--|//|>)`)
)

// checkGo checks comments, texts, names, and the paragraphs of functions.
func (l *list) checkGo(path string, text []byte) ([]finding, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	if ast.IsGenerated(parsed) {
		return nil, nil
	}

	prose, found := l.scan(path, text)
	found = append(l.checkProse(path, prose, true), found...)
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		start := files.Position(f.Pos()).Line
		for _, p := range l.functions.starting(f.Name.Name) {
			found = append(found, finding{path: path, line: start, phrase: "func " + f.Name.Name, write: p.write})
		}
		if !strings.HasSuffix(path, "_test.go") && dense(files, text, f) {
			found = append(found, finding{path: path, line: start, write: fmt.Sprintf(
				"%s has %d lines or more and no blank line: separate its steps", f.Name.Name, longFunction)})
		}
	}
	return found, nil
}

// dense reports whether a function is long and has no blank line. One that is a single
// statement, such as a table or a switch, has no steps to separate.
func dense(files *token.FileSet, text []byte, f *ast.FuncDecl) bool {
	if f.Body == nil || len(f.Body.List) < 2 {
		return false
	}
	from, to := files.Position(f.Body.Lbrace), files.Position(f.Body.Rbrace)
	if to.Line-from.Line-1 < longFunction {
		return false
	}

	for line := range bytes.Lines(text[from.Offset:to.Offset]) {
		if len(bytes.TrimSpace(line)) == 0 {
			return false
		}
	}
	return true
}

// scan returns a Go file with all but comments and texts blanked out, and what is wrong
// with its names.
func (l *list) scan(path string, text []byte) ([]byte, []finding) {
	files := token.NewFileSet()
	file := files.AddFile(path, -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, scanner.ScanComments)

	prose := make([]byte, len(text))
	var found []finding
	seen := map[string]bool{}
	last := 0 // the end of the last token
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return prose, found
		}

		at := file.Offset(pos)
		copySpace(prose, text[:at], last)
		last = at + len(lit)
		if tok == token.SEMICOLON && lit == "\n" {
			last = at // the scanner put it there: the end of the line is white space
		}

		switch {
		case tok == token.COMMENT && !strings.HasPrefix(lit, "//go:") && !strings.HasPrefix(lit, "//nolint"):
			copy(prose[at:], "  "+lit[2:])
		case tok == token.STRING && strings.ContainsAny(lit, " \n") && !tag.MatchString(lit):
			copy(prose[at+1:], unescape(lit[1:len(lit)-1]))
		case tok == token.IDENT && !seen[lit]:
			seen[lit] = true
			found = append(found, l.checkName(path, file.Line(pos), lit)...)
		}
	}
}

// copySpace copies white space between two tokens, so that a comment goes on in the
// next line.
func copySpace(prose, text []byte, from int) {
	for i := from; i < len(text); i++ {
		if unicode.IsSpace(rune(text[i])) {
			prose[i] = text[i]
		}
	}
}

// unescape replaces escapes with spaces of the same length.
func unescape(lit string) string {
	b := []byte(lit)
	for i := 0; i+1 < len(b); i++ {
		if b[i] == '\\' {
			b[i], b[i+1] = ' ', ' '
			i++
		}
	}
	return string(b)
}

// checkName checks the words of an identifier.
func (l *list) checkName(path string, line int, name string) []finding {
	var found []finding
	for _, word := range splitName(name) {
		for _, p := range l.names.starting(word) {
			found = append(found, finding{path: path, line: line, phrase: name, write: p.write})
		}
	}
	return found
}

// splitName returns the words of an identifier in lower case: HTTPSource has http and source.
func splitName(name string) []string {
	var words []string
	runes := []rune(name)
	start := 0
	for i := 1; i <= len(runes); i++ {
		end := i == len(runes) || runes[i] == '_' ||
			unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if end {
			words = append(words, strings.ToLower(strings.Trim(string(runes[start:i]), "_")))
			start = i
		}
	}
	return words
}

// commentsOfSQL blanks out all but the comments.
func commentsOfSQL(text []byte) []byte {
	prose := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		at := bytes.Index(line, []byte("--"))
		if at < 0 {
			prose = append(prose, make([]byte, len(line)-1)...)
			prose = append(prose, '\n')
			continue
		}
		if len(bytes.TrimSpace(line[:at])) > 0 {
			prose = append(prose, make([]byte, at)...)
		} else {
			prose = append(prose, bytes.Repeat([]byte(" "), at)...)
		}
		prose = append(prose, "  "...)
		prose = append(prose, line[at+2:]...)
	}
	return prose
}

// blank blanks out what the pattern finds.
func blank(text []byte, pattern *regexp.Regexp) []byte {
	return pattern.ReplaceAllFunc(text, func(found []byte) []byte {
		out := make([]byte, len(found))
		for i, b := range found {
			if b == '\n' {
				out[i] = '\n'
			}
		}
		return out
	})
}

// leaders replaces what begins a line of a comment with spaces.
func leaders(text []byte) []byte {
	return leader.ReplaceAllFunc(text, func(found []byte) []byte {
		return bytes.Repeat([]byte(" "), len(found))
	})
}
