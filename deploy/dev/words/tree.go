package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// roots are the directories with text of ours; files of the top level are added by
// their endings.
var roots = []string{"activities", "deploy", "ingress", "shared", "worker", "workflows", ".ci"}

// endings are the kinds of files that are read.
var endings = map[string]bool{
	".go": true, ".sql": true, ".sh": true, ".html": true, ".tmpl": true, ".yaml": true, ".yml": true, ".md": true,
}

// sources returns the paths to check, in order. The history of CHANGELOG.md stays as it
// was written, and testdata is quoted from elsewhere.
func sources(root string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(root, "*"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", root, err)
	}

	var kept []string
	for _, path := range paths {
		name := filepath.Base(path)
		if (endings[filepath.Ext(name)] || name == "Makefile") && name != "CHANGELOG.md" {
			kept = append(kept, name)
		}
	}

	for _, dir := range roots {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules"):
				return fs.SkipDir
			case d.IsDir() || !endings[filepath.Ext(path)] && path != filepath.Join(root, ".ci", "run"):
				return nil
			}

			rel, err := filepath.Rel(root, path)
			kept = append(kept, filepath.ToSlash(rel))
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("walk %s: %w", dir, err)
		}
	}
	return kept, nil
}

// readPending returns the directories that are not clean yet, each without those below
// it. No file means that there are none.
func readPending(path string) (map[string]bool, error) {
	lines, err := readLines(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}

	dirs := map[string]bool{}
	for _, l := range lines {
		dirs[l.text] = true
	}
	return dirs, err
}

// line is one line of a list that is no comment.
type line struct {
	number int
	text   string
}

// readLines returns the lines of a list without comments and empty lines.
func readLines(path string) ([]line, error) {
	file, err := os.Open(path) //nolint:gosec // one of the lists beside this program
	if err != nil {
		return nil, fmt.Errorf("open list: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read

	var lines []line
	in := bufio.NewScanner(file)
	for n := 1; in.Scan(); n++ {
		text := strings.TrimSpace(in.Text())
		if text != "" && !strings.HasPrefix(text, "#") {
			lines = append(lines, line{n, text})
		}
	}
	return lines, in.Err()
}
