package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryPageIsInTheIndex: README.md of the manual links each page.
func TestEveryPageIsInTheIndex(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	index := read(t, "README.md")
	for _, page := range pages {
		if page != "README.md" {
			require.Regexp(t, `\]\(`+regexp.QuoteMeta(page)+`[#)]`, index)
		}
	}
}

// TestNamedTargetsExist looks for each target of make that a document names.
func TestNamedTargetsExist(t *testing.T) {
	t.Parallel()
	makefile := read(t, filepath.Join(root, "Makefile"))
	target := regexp.MustCompile("(?m)(?:`|^|[;(] ?)make ((?:[a-z-]+\\|)*[a-z-]+)")
	found := 0

	for _, document := range documents(t) {
		for _, m := range target.FindAllStringSubmatch(read(t, document), -1) {
			if !strings.HasPrefix(m[0], "`") && !inFence(read(t, document), m[0]) {
				continue
			}
			for name := range strings.SplitSeq(m[1], "|") {
				found++
				if !strings.Contains(makefile, "\n"+name+": ") {
					t.Errorf("%s names make %s, which is no target", document, name)
				}
			}
		}
	}
	require.Greater(t, found, 20)
}

func inFence(text, command string) bool {
	return strings.Contains(strings.Join(fence.FindAllString(text, -1), "\n"), command)
}

// TestNamedFilesExist looks for each file of this repository that a document names in code.
// Names with capitals in a row, such as NNNN, stand for others.
func TestNamedFilesExist(t *testing.T) {
	t.Parallel()
	code := regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")
	file := regexp.MustCompile(`(?:^|[\s"'(/=:` + "`" + `])((?:activities|deploy|ingress|shared|worker|workflows)/[\w.{},*/-]*\w)`)
	found := 0

	for _, document := range documents(t) {
		for _, span := range code.FindAllString(read(t, document), -1) {
			for _, m := range file.FindAllStringSubmatch(span, -1) {
				if regexp.MustCompile(`[A-Z]{3}|…`).MatchString(m[1]) {
					continue
				}
				found++
				for _, path := range alternatives(m[1]) {
					if there, err := filepath.Glob(filepath.Join(root, path)); err != nil || len(there) == 0 {
						t.Errorf("%s names %s, which does not exist", document, path)
					}
				}
			}
		}
	}
	require.Greater(t, found, 50)
}

// alternatives expands a path with a list in braces.
func alternatives(path string) []string {
	before, rest, _ := strings.Cut(path, "{")
	list, after, ok := strings.Cut(rest, "}")
	if !ok {
		return []string{path}
	}
	var all []string
	for choice := range strings.SplitSeq(list, ",") {
		all = append(all, before+choice+after)
	}
	return all
}

// TestNamedMetricsAreListed compares the metrics that documents name with the list of
// operating.md, which TestMetricsAreThoseOfTheList compares with what the programs export.
func TestNamedMetricsAreListed(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile("`(mailroom_[a-z_]+)[`{]|grep (mailroom_[a-z_]+)")
	listed := map[string]bool{
		"mailroom_ingress": true, "mailroom_worker": true, "mailroom_metrics": true, // roles and a network
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \| (?:ingress|worker|both) \|`).FindAllStringSubmatch(read(t, "operating.md"), -1) {
		for _, m := range name.FindAllStringSubmatch(row[1], -1) {
			listed[m[1]] = true
		}
	}
	require.Greater(t, len(listed), 30)

	for _, document := range documents(t) {
		for _, m := range name.FindAllStringSubmatch(read(t, document), -1) {
			if !listed[m[1]+m[2]] {
				t.Errorf("%s names %s, which the list of operating.md does not have", document, m[1]+m[2])
			}
		}
	}
}

// TestNamedVariablesExist looks for each environment variable of ours that a document names
// in code or configuration.
func TestNamedVariablesExist(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`\b(?:MAILROOM|S3|CLAMD|SINK)_[A-Z][A-Z_]*[A-Z]\b`)
	used := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root:
			return filepath.SkipDir
		case regexp.MustCompile(`\.(go|sh|ya?ml|env|example|js|mjs|service)$|Dockerfile$`).MatchString(path) && !strings.HasSuffix(path, "_test.go"):
			for _, v := range name.FindAllString(read(t, path), -1) {
				used[v] = true
			}
		}
		return nil
	}))

	for _, document := range documents(t) {
		named := regexp.MustCompile(`env:\w+`).ReplaceAllString(read(t, document), "") // a name of the user's
		for _, v := range name.FindAllString(named, -1) {
			if !used[v] {
				t.Errorf("%s names %s, which nothing reads", document, v)
			}
		}
	}
}
