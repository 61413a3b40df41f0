package mailctl

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// documented is one call of mailctl that a document shows.
type documented struct {
	place string
	words []string
	block bool // in a block of commands, not inside a sentence
}

// TestDocumentedCallsParse parses each call of mailctl in README and the manual: commands,
// flags and arguments exist. Inside a sentence a call may be a beginning, such as
// `mailctl emails edit`.
func TestDocumentedCallsParse(t *testing.T) {
	t.Parallel()
	calls := documentedCalls(t)
	require.Greater(t, len(calls), 60)

	for _, call := range calls {
		err := parseDocumented(t, call.words)
		if err == nil || (!call.block || slices.Contains(call.words, "…")) && regexp.MustCompile(`^(expected "<|expected one of|missing )`).MatchString(err.Error()) {
			continue
		}
		t.Errorf("%s: mailctl %s: %s", call.place, strings.Join(call.words, " "), err)
	}
}

func TestACallThatDoesNotExistIsFound(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"emails aprove ID", "emails list --stat held", "emails get A B", "replay --reasons x …"} {
		words := splitWords(text)
		err := parseDocumented(t, words)
		require.Error(t, err, text)
		require.NotRegexp(t, `^(expected "<|missing )`, err.Error(), text)
	}
}

func parseDocumented(t *testing.T, words []string) error {
	t.Helper()
	parse := func(words []string) error {
		parser, err := kong.New(&commands{}, kong.Vars{"api": "x", "url": "x"}, kong.Exit(func(int) { panic("exit") }))
		require.NoError(t, err)
		_, err = parser.Parse(words)
		return err
	}

	err := parse(words)
	if err != nil && words[len(words)-1] == "…" { // not the value of a flag
		err = parse(words[:len(words)-1])
	}
	return err
}

func documentedCalls(t *testing.T) []documented {
	t.Helper()
	paths, err := filepath.Glob("../../deploy/docs/*.md")
	require.NoError(t, err)
	paths = append(paths, "../../README.md", "../../CONTRIBUTING.md")

	var calls []documented
	fence := regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```")
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		text := string(content)
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] == "sh" || block[1] == "" {
				calls = append(calls, callsIn(filepath.Base(path), strings.ReplaceAll(block[2], "\\\n", " "), true)...)
			}
		}
		for _, span := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			calls = append(calls, callsIn(filepath.Base(path), strings.ReplaceAll(span[1], "\n", " "), false)...)
		}
	}
	return calls
}

// callsIn finds the calls in some lines of a shell. Of a|b each alternative is a call.
func callsIn(place, text string, block bool) []documented {
	var calls []documented
	call := regexp.MustCompile(`(?m)(?:^|[ /(])mailctl +([a-z].*)$`)
	for _, m := range call.FindAllStringSubmatch(text, -1) {
		words := splitWords(m[1])
		alternatives := [][]string{words}
		for i, word := range words {
			if choices := strings.Split(word, "|"); len(choices) > 1 {
				alternatives = nil
				for _, choice := range choices {
					chosen := slices.Clone(words)
					chosen[i] = choice
					alternatives = append(alternatives, chosen)
				}
			}
		}
		for _, words := range alternatives {
			calls = append(calls, documented{place: place, words: words, block: block})
		}
	}
	return calls
}

// splitWords splits a line of a shell as far as its first command goes.
func splitWords(line string) []string {
	var words []string
	word := regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)
	for _, w := range word.FindAllString(line, -1) {
		switch {
		case w == "|" || w == "&&" || w == ">" || w == ";" || w[0] == '#':
			return words
		case w == "N": // stands for a number
			w = "1"
		}
		w = strings.Trim(w, `"'`)
		if end := strings.TrimRight(w, ";)"); end != w {
			return append(words, end)
		}
		words = append(words, w)
	}
	return words
}
