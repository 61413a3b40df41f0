// Package docs_test checks what the documents say about this repository: that links
// lead somewhere, and that the tests which they name exist.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// documents returns the paths of all documents, relative to this directory.
func documents(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{filepath.Join(root, "*.md"), "*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		paths = append(paths, found...)
	}
	require.Greater(t, len(paths), 10)

	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)

	return string(text)
}

var fence = regexp.MustCompile("(?ms)^ *```.*?^ *```")

// TestLinksResolve follows each relative link of the documents to its file and its heading.
func TestLinksResolve(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^()\s]+)\)`)

	for _, document := range documents(t) {
		prose := fence.ReplaceAllString(read(t, document), "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := document
			if path != "" {
				target = filepath.Join(filepath.Dir(document), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: no file for %s", document, m[1])
				continue
			}
			if anchor != "" && !anchors(read(t, target))[anchor] {
				t.Errorf("%s: no heading for %s", document, m[1])
			}
		}
	}
}

// anchors returns the anchors that GitHub makes of a document's headings.
func anchors(text string) map[string]bool {
	heading := regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	all := map[string]bool{}

	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])] = true
	}
	return all
}

// TestNamedTestsExist looks for each test that a document names in the test files. What
// follows -run may be the beginning of a name.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	exists := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root:
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			for _, m := range function.FindAllStringSubmatch(read(t, path), -1) {
				exists[m[1]] = true
			}
		}
		return nil
	}))

	name := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	for _, document := range documents(t) {
		for _, m := range name.FindAllStringSubmatch(read(t, document), -1) {
			if !exists[m[1]] {
				t.Errorf("%s names %s, which is no test", document, m[1])
			}
		}
	}

	run := regexp.MustCompile(`-run '?\^?(Test\w+)(\$?)`)
	commands := 0
	for _, document := range documents(t) {
		for _, m := range run.FindAllStringSubmatch(read(t, document), -1) {
			commands++
			found := exists[m[1]]
			for test := range exists {
				found = found || m[2] == "" && strings.HasPrefix(test, m[1])
			}
			if !found {
				t.Errorf("%s runs %s, which is no test", document, m[1])
			}
		}
	}
	require.Positive(t, commands)
}
