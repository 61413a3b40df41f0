package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// FindChromium returns the path of a browser that the tests can drive, "" where none is
// installed.
func FindChromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	return ""
}

// Package returns the folder of the npm packages that deploy/tools/<name> pins in its
// package-lock.json, by integrity. They are fetched when they are missing or the pins have
// changed since; none of their scripts is run.
func (t Tools) Package(ctx context.Context, name string) (string, error) {
	dir, unlock, err := t.folder(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if fileExists(filepath.Join(dir, "node_modules", ".package-lock.json")) { // npm writes it last
		return dir, nil
	}
	source := os.DirFS(filepath.Join(t.Root, toolsDir, name))
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, source)); err != nil {
		return "", fmt.Errorf("fetch %s: %w", name, err)
	}

	defer t.Console.Await("fetching " + name + " with npm")()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	said, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("npm is not installed, and %s comes with it: apt-get install npm", name)
	case err != nil:
		return "", fmt.Errorf("fetch %s: npm: %s", name, strings.TrimSpace(string(said)))
	}
	t.forgetOlder(name, dir)
	return dir, nil
}
