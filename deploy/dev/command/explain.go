package command

import (
	_ "embed"
	"regexp"
	"strings"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
)

// remedies has a line for each cause that a person can remove: a regular expression, a tab, and
// what to do. run.sh reads it too, while this program cannot be compiled.
//
//go:embed remedies.txt
var remedies string

// explain returns an error in one line, with what to do about it where that is known, as caller
// types it.
func explain(err error, caller stack.Caller) string {
	text := process.OneLine(err)
	for row := range strings.Lines(remedies) {
		pattern, remedy, _ := strings.Cut(strings.TrimSpace(row), "\t")
		cause := regexp.MustCompile("(?i)" + pattern)
		if !cause.MatchString(text) {
			continue
		}

		// Of what a command has said, the line with the cause is enough.
		first, _, _ := strings.Cut(text, ": ")
		for line := range strings.Lines(err.Error()) {
			if line = strings.TrimSpace(line); cause.MatchString(line) && !strings.HasPrefix(line, first) {
				text = first + ": " + line
				break
			} else if cause.MatchString(line) {
				text = line
				break
			}
		}
		return text + ": " + strings.ReplaceAll(remedy, stack.Caller{}.Forget(), caller.Forget())
	}
	return text
}
