package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// marker ends a line of a sample: the phrases to be found there, separated by |.
var marker = regexp.MustCompile(` *(?://|#|--|<!--)? *want: (.*?)(?: -->)?\n`)

// TestSamples checks each file of testdata/samples: exactly what the markers say is
// reported, and no marker is part of what is checked.
func TestSamples(t *testing.T) {
	list, err := readList("words.txt")
	require.NoError(t, err)
	names, err := filepath.Glob("testdata/samples/*")
	require.NoError(t, err)
	require.NotEmpty(t, names)

	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			found, err := list.check(strings.TrimSuffix(name, ".txt"), marker.ReplaceAll(text, []byte("\n")))
			require.NoError(t, err)

			got := map[int][]string{}
			for _, f := range found {
				if f.phrase == "" {
					f.phrase = "no blank line"
				}
				got[f.line] = append(got[f.line], f.phrase)
			}
			for i, line := range strings.Split(string(text), "\n") {
				var want []string
				if m := marker.FindStringSubmatch(line + "\n"); m != nil {
					want = strings.Split(m[1], "|")
				}
				require.ElementsMatch(t, want, got[i+1], "line %d: %s", i+1, line)
			}
		})
	}
}

// TestEachPhraseIsFound says every phrase of the list in a comment.
func TestEachPhraseIsFound(t *testing.T) {
	list, err := readList("words.txt")
	require.NoError(t, err)

	for _, by := range []map[string][]phrase{list.text.exact, list.text.prefix} {
		for _, all := range by {
			for _, p := range all {
				said := strings.ReplaceAll(strings.Join(p.words, " "), "*", "ment")
				text := "package x\n\n// It ends. " + strings.ToUpper(said[:1]) + said[1:] + " it.\n"
				found, err := list.check("x.go", []byte(text))
				require.NoError(t, err)
				require.NotEmpty(t, found, said)
				require.Equal(t, 3, found[0].line)
			}
		}
	}
}

func TestPendingDirectoriesAreLeftOut(t *testing.T) {
	root := tree(t, fstest.MapFS{
		"README.md":           {Data: []byte("It gives a row.\n")},
		"CHANGELOG.md":        {Data: []byte("It gives a row.\n")},
		"ingress/doc.go":      {Data: []byte("// Package ingress gives rows.\npackage ingress\n")},
		"ingress/guard/x.go":  {Data: []byte("// Package guard gives rows.\npackage guard\n")},
		"ingress/x.txt":       {Data: []byte("It gives a row.\n")},
		home + "/pending.txt": {Data: []byte("# not clean yet\ningress\n")},
	})

	found, err := run(root, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"README.md", "ingress/guard/x.go"}, places(found), "a directory is listed without those below it")

	found, err = run(root, []string{"./ingress/..."})
	require.NoError(t, err)
	require.Equal(t, []string{"ingress/doc.go", "ingress/guard/x.go"}, places(found), "what is asked for is checked, listed or not")
}

func TestExceptions(t *testing.T) {
	root := tree(t, fstest.MapFS{
		"README.md": {Data: []byte("It gives a row to nobody.\n")},
		home + "/exceptions.txt": {Data: []byte(
			"README.md: gives: a quotation\nREADME.md: whoever: not there\n")},
	})

	found, err := run(root, nil)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, `README.md:1: "nobody" → write "the actor: no operator, no other goroutine, no process"`, found[0].String())
	require.Contains(t, found[1].String(), "nothing needs this exception")

	root = tree(t, fstest.MapFS{home + "/exceptions.txt": {Data: []byte("README.md: gives\n")}})
	_, err = run(root, nil)
	require.ErrorContains(t, err, "not of the form", "an exception needs a reason")
}

// TestTheTreeIsReadInTime: the check runs before each commit.
func TestTheTreeIsReadInTime(t *testing.T) {
	start := time.Now()
	_, err := run("../../..", nil)
	require.NoError(t, err)
	require.Less(t, time.Since(start), 10*time.Second)
}

// tree writes files into a directory of the test, with the list of this one.
func tree(t *testing.T, files fstest.MapFS) string {
	t.Helper()
	root := t.TempDir()
	list, err := os.ReadFile("words.txt")
	require.NoError(t, err)
	files[home+"/words.txt"] = &fstest.MapFile{Data: list}
	if files[home+"/exceptions.txt"] == nil {
		files[home+"/exceptions.txt"] = &fstest.MapFile{}
	}

	require.NoError(t, os.CopyFS(root, files))
	return root
}

func places(found []finding) []string {
	var paths []string
	for _, f := range found {
		paths = append(paths, f.path)
	}
	return paths
}
