package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Mistake is one error in a configuration file.
type Mistake struct {
	Path string `json:"path"`    // where, such as sources[0].secrets[1].ref; empty for the file as a whole
	Line int    `json:"line"`    // counted from 1; 0 when unknown
	Text string `json:"message"` // what is wrong; holds no secret
}

// Invalid is the error of Load for a readable file with mistakes. It holds every mistake,
// in the order of the file.
type Invalid struct {
	File     string
	Mistakes []Mistake
}

// Error lists every mistake on a line of its own.
func (e *Invalid) Error() string {
	return fmt.Sprintf("configuration %s is not valid", e.File) + e.Lines()
}

// Lines lists the mistakes, each after a line break.
func (e *Invalid) Lines() string {
	var sb strings.Builder
	for _, m := range e.Mistakes {
		sb.WriteString("\n  ")
		if m.Path != "" {
			sb.WriteString(m.Path)
			sb.WriteByte(' ')
		}
		if m.Line > 0 {
			fmt.Fprintf(&sb, "(line %d) ", m.Line)
		}
		sb.WriteString(m.Text)
	}
	return sb.String()
}

func invalid(path string, mistakes []Mistake) *Invalid {
	slices.SortStableFunc(mistakes, func(a, b Mistake) int { return a.Line - b.Line })
	return &Invalid{File: path, Mistakes: mistakes}
}

// places finds the lines of a file.
type places struct {
	path string
	root *yaml.Node
}

// Mistake returns a mistake at the place of these keys and indices, for what only the
// packages that use a setting can check.
func (f *File) Mistake(text string, at ...any) Mistake {
	if f.text.root == nil { // not read from a file
		return Mistake{Path: fmt.Sprint(at...), Text: text}
	}
	path, line := locate(f.text.root, at)
	return Mistake{Path: path, Line: line, Text: text}
}

// Invalid returns the error of a file with these mistakes, nil where there are none. Of
// mistakes that are the same one stays.
func (f *File) Invalid(mistakes ...Mistake) error {
	if len(mistakes) == 0 {
		return nil
	}
	var once []Mistake
	for _, m := range mistakes {
		if !slices.Contains(once, m) {
			once = append(once, m)
		}
	}
	return invalid(f.text.path, once)
}

// Report is the result of a check, for programs.
type Report struct {
	File        string    `json:"file"`
	Valid       bool      `json:"valid"`
	Mistakes    []Mistake `json:"mistakes"`
	Environment []string  `json:"environment,omitempty"` // mistakes in the environment
}

// ReportOf returns the report of a check that ended with err. An error that is about
// neither the file nor the environment is returned.
func ReportOf(path string, err error) (Report, error) {
	r := Report{File: path, Valid: err == nil, Mistakes: []Mistake{}}
	var file *Invalid
	if errors.As(err, &file) {
		r.Mistakes = file.Mistakes
	}
	var env *InvalidEnv
	if errors.As(err, &env) {
		r.Environment = env.Mistakes
	}
	if err != nil && file == nil && env == nil {
		return r, err
	}
	return r, nil
}
