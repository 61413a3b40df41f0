// Command reference writes the tables of configuration keys into the pages of
// deploy/docs, from the configuration's JSON Schema. `make generate` runs it, and its test
// fails while a page is not current.
//
// A table stands between <!-- schema: PATH --> and <!-- end of schema -->. PATH is a key of
// the file, such as routes[].when, whose keys the table lists; "file" stands for the whole
// file, and "values" for the kinds of values.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

func main() {
	if err := run("deploy/docs"); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// run updates the pages in dir.
func run(dir string) error {
	pages, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return fmt.Errorf("find pages: %w", err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page) //nolint:gosec // a page of this repository
		if err != nil {
			return fmt.Errorf("read page: %w", err)
		}

		current, _, err := update(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
		if current == string(text) {
			continue
		}
		if err := os.WriteFile(page, []byte(current), 0o644); err != nil { //nolint:gosec // as the other pages
			return fmt.Errorf("write page: %w", err)
		}
	}
	return nil
}

var block = regexp.MustCompile(`(?s)<!-- schema: (\S+) -->\n.*?<!-- end of schema -->`)

// update returns a page with current tables, and the paths that they are about.
func update(page string) (text string, paths []string, err error) {
	s, err := readSchema()
	if err != nil {
		return "", nil, err
	}

	text = block.ReplaceAllStringFunc(page, func(old string) string {
		path := block.FindStringSubmatch(old)[1]
		table, failed := s.table(path)
		if failed != nil {
			err = failed
			return old
		}
		paths = append(paths, path)
		return "<!-- schema: " + path + " -->\n\n" + table + "\n<!-- end of schema -->"
	})
	return text, paths, err
}
