package stack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"mailroom/deploy/dev/process"
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
	source := filepath.Join(t.Root, toolsDir, name)
	var pins []byte
	files := []string{"package.json", "package-lock.json"}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(source, file)) //nolint:gosec // below the repository
		if err != nil {
			return "", fmt.Errorf("read pins of %s: %w", name, err)
		}
		pins = append(pins, text...)
	}

	sum := sha256.Sum256(pins)
	dir := filepath.Join(t.Dir, name+"-"+hex.EncodeToString(sum[:6]))
	unlock, err := process.Lock(ctx, filepath.Join(t.Dir, name+".lock"), "another fetch of "+name, t.Console)
	if err != nil {
		return "", err
	}
	defer unlock()

	if fileExists(filepath.Join(dir, "node_modules", ".package-lock.json")) { // npm writes it last
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs for every user
		return "", err
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(source, file)) //nolint:gosec // below the repository
		if err != nil {
			return "", fmt.Errorf("read pins of %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			return "", err
		}
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
