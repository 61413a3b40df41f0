package stack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"mailroom/deploy/dev/process"
)

// toolsDir holds one folder for each pinned tool, with a go.mod of its own.
const toolsDir = "deploy/tools"

// toolFlags drop what no tool of ours uses: the gRPC variant of Google's storage client, the
// Kubernetes client in Temporal's worker, and the symbols for debuggers.
var toolFlags = [...]string{"-tags", "disable_grpc_modules,release", "-ldflags", "-s -w"}

// Tools finds or builds the programs of others that are pinned under deploy/tools.
type Tools struct {
	Root    string // of the repository
	Dir     string // where built tools are kept
	Caller  Caller // for advice in messages
	Console *process.Console
	After   <-chan struct{} // builds begin when it is closed, so that another has the processors; nil: at once
}

// Find returns the path of a tool: that of others on PATH where there is one, else the pinned
// one, which is built the first time. Data and flags of another devstack may differ.
func (t Tools) Find(ctx context.Context, name string) (string, error) {
	if found, err := exec.LookPath(name); err == nil && name != Devstack {
		found, err = filepath.Abs(found)
		// .dev/bin may be on PATH; it holds links to what was found here before.
		real, failed := filepath.EvalSymlinks(found)
		if err == nil && failed == nil && !within(found, t.Root) && !within(real, t.Root) {
			return found, nil
		}
	}
	built, err := t.Build(ctx, name)
	if err != nil {
		return "", err
	}
	return built[0], nil
}

// Build returns the paths of the programs that the folder deploy/tools/<name> pins, in the order
// of its go.mod, or of its own. They are built when they are missing, or the folder has changed.
func (t Tools) Build(ctx context.Context, name string) ([]string, error) {
	dir, unlock, err := t.folder(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	mod, err := os.ReadFile(filepath.Join(t.Root, toolsDir, name, "go.mod")) //nolint:gosec // below the repository
	if err != nil {
		return nil, fmt.Errorf("read pins of %s: %w", name, err)
	}
	packages := toolLines(string(mod))
	if len(packages) == 0 {
		packages = []string{"."}
	}

	var paths []string
	for _, pkg := range packages {
		target := filepath.Join(dir, path.Base(path.Join("/", name, pkg)))
		if !fileExists(target) {
			if err := t.build(ctx, name, pkg, target); err != nil {
				return nil, err
			}
		}
		paths = append(paths, target)
	}
	t.forgetOlder(name, dir)
	return paths, nil
}

// folder returns the folder for what is made of deploy/tools/<name>, of which this call alone
// changes anything until unlock.
func (t Tools) folder(ctx context.Context, name string) (dir string, unlock func(), err error) {
	pins, err := fingerprint(filepath.Join(t.Root, toolsDir, name))
	if err != nil {
		return "", nil, fmt.Errorf("%s/%s, which pins %s, cannot be read: %w", toolsDir, name, name, err)
	}
	dir = filepath.Join(t.Dir, name+"-"+pins)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs for every user
		return "", nil, err
	}
	unlock, err = process.Lock(ctx, filepath.Join(t.Dir, name+".lock"), "another build of "+name, t.Console)
	return dir, unlock, err
}

func (t Tools) build(ctx context.Context, name, pkg, target string) error {
	t.Console.Say("building %s: it is compiled once from %s/%s (minutes); later starts take seconds", name, toolsDir, name)
	fresh := target + ".new"
	b := goBuild{what: name, dir: filepath.Join(t.Root, toolsDir, name), out: fresh, flags: toolFlags[:], packages: []string{pkg}}
	if t.After != nil {
		b.download(ctx)
		select {
		case <-t.After:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := b.run(ctx, t.Console); err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	if err := os.Rename(fresh, target); err != nil {
		return fmt.Errorf("build %s: %w", name, err)
	}
	return nil
}

// forgetOlder removes what was built from other pins.
func (t Tools) forgetOlder(name, keep string) {
	found, _ := filepath.Glob(filepath.Join(t.Dir, name+"-????????????"))
	for _, dir := range found {
		if dir != keep {
			_ = os.RemoveAll(dir)
		}
	}
}

// fingerprint returns a hash of all that the tools of a module are built from.
func fingerprint(module string) (string, error) {
	files, err := os.ReadDir(module)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, _ = fmt.Fprintln(hash, toolFlags)
	for _, file := range files {
		if !file.Type().IsRegular() || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(module, file.Name())) //nolint:gosec // below the repository
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintln(hash, file.Name(), len(text))
		_, _ = hash.Write(text)
	}
	return hex.EncodeToString(hash.Sum(nil)[:6]), nil
}

// Link makes bin hold a link to a tool, as Find finds it, and returns the link.
func (t Tools) Link(ctx context.Context, bin, name string) (string, error) {
	found, err := t.Find(ctx, name)
	if err != nil {
		return "", err
	}

	link := filepath.Join(bin, name)
	if now, err := os.Readlink(link); err == nil && now == found {
		return link, nil
	}
	if err := os.MkdirAll(bin, 0o755); err != nil { //nolint:gosec // programs for every user
		return "", fmt.Errorf("link %s: %w", name, err)
	}
	_ = os.Remove(link)
	if err := os.Symlink(found, link); err != nil {
		return "", fmt.Errorf("link %s: %w", name, err)
	}
	return link, nil
}

// toolLines returns the packages of the tool directives of a go.mod.
func toolLines(mod string) []string {
	var packages []string
	inside := false
	for line := range strings.Lines(mod) {
		line, _, _ = strings.Cut(line, "//")
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "tool" && f[1] == "(":
			inside = true
		case len(f) == 2 && f[0] == "tool":
			packages = append(packages, f[1])
		case len(f) == 1 && f[0] == ")":
			inside = false
		case len(f) == 1 && inside:
			packages = append(packages, f[0])
		}
	}
	return packages
}

func within(path, dir string) bool {
	relative, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(relative)
}
