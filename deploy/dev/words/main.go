// Command words checks the language of the code base: comments, texts, names, scripts,
// pages and docs against the list in words.txt, and that a longer function has
// paragraphs.
//
//	go run ./deploy/dev/words              the whole tree, but for what pending.txt lists
//	go run ./deploy/dev/words ingress/...  these directories, listed or not
//
// It prints path:line: "x" → write "y" and exits with 1 if there is anything to print.
// Add a word in words.txt; a place where a word has to stay goes to exceptions.txt with
// the reason.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// home is where the lists are, from the root of the repository.
const home = "deploy/dev/words"

func main() {
	flag.Parse()

	found, err := run(".", flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(2)
	}

	for _, f := range found {
		fmt.Println(f)
	}
	if len(found) > 0 {
		fmt.Fprintf(os.Stderr, "words: %d places to rewrite; the list is %s/words.txt\n", len(found), home)
		os.Exit(1)
	}
}

// run checks the tree at root: the named directories, or all that is not pending. A
// name that ends in /... includes the directories below.
func run(root string, only []string) ([]finding, error) {
	list, err := readList(filepath.Join(root, home, "words.txt"))
	if err != nil {
		return nil, err
	}
	excepted, err := readExceptions(filepath.Join(root, home, "exceptions.txt"))
	if err != nil {
		return nil, err
	}
	pending, err := readPending(filepath.Join(root, home, "pending.txt"))
	if err != nil {
		return nil, err
	}
	paths, err := sources(root)
	if err != nil {
		return nil, err
	}

	var found []finding
	for _, path := range paths {
		dir := filepath.ToSlash(filepath.Dir(path))
		if len(only) == 0 && pending[dir] || len(only) > 0 && !named(dir, only) {
			continue
		}

		text, err := os.ReadFile(filepath.Join(root, path)) //nolint:gosec // a path of the tree that is checked
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		of, err := list.check(path, text)
		if err != nil {
			return nil, err
		}
		found = append(found, excepted.filter(of)...)
	}

	if len(only) == 0 && len(pending) == 0 {
		found = append(found, excepted.unused()...)
	}
	return found, nil
}

// named reports whether one of the arguments includes dir.
func named(dir string, only []string) bool {
	for _, arg := range only {
		arg = filepath.ToSlash(strings.TrimPrefix(arg, "./"))
		above, below := strings.CutSuffix(arg, "/...")
		if dir == strings.TrimSuffix(above, "/") || below && strings.HasPrefix(dir, above+"/") {
			return true
		}
	}
	return false
}
