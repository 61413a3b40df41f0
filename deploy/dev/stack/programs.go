package stack

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"mailroom/deploy/dev/process"
)

// server is the program that runs as ingress, as worker and to migrate the database.
const server = "mailroom"

// ourPrograms are the packages of what Bin holds.
var ourPrograms = [...]string{"./ingress/cmd/mailroom", "./ingress/cmd/mailctl", "./deploy/dev/sink"}

// ProgramNames returns the file names of what BuildPrograms compiles.
func ProgramNames() []string {
	var names []string
	for _, pkg := range ourPrograms {
		names = append(names, path.Base(pkg))
	}
	return names
}

// BuildPrograms compiles Mailroom's programs from the repository at root into bin, with the
// version that VERSION names and the commit of the repository. A program that runs keeps what
// it was started from.
func BuildPrograms(ctx context.Context, root, bin string, console *process.Console) error {
	if err := os.MkdirAll(bin, 0o755); err != nil { //nolint:gosec // programs for every user
		return fmt.Errorf("make %s: %w", bin, err)
	}
	b := goBuild{
		what: "mailroom", dir: root, out: bin + string(filepath.Separator), packages: ourPrograms[:],
		flags: []string{"-ldflags", "-X mailroom/shared/telemetry.version=" + cmp.Or(os.Getenv("VERSION"), "dev") +
			" -X mailroom/shared/telemetry.commit=" + commit(ctx, root)},
	}
	return b.run(ctx, console)
}

// commit returns the commit of the repository at root, "" where it is none. It ends in -dirty
// where files differ from it.
func commit(ctx context.Context, root string) string {
	git := exec.CommandContext(ctx, "git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude", "*")
	git.Dir = root
	said, err := git.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(said))
}

// Mailctl runs mailctl against this stack and returns what it prints. Where it fails, that
// is the one line that says why.
func (s *Stack) Mailctl(ctx context.Context, args ...string) (string, error) {
	return runProgram(ctx, s, "mailctl", args...)
}

// runProgram runs a program of Bin to its end, as Mailctl does.
func runProgram(ctx context.Context, s *Stack, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.opt.Bin, program), args...) //nolint:gosec // our own program
	cmd.Env = programVars(s).With(s.ClientVars()).List()
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	err := cmd.Run()
	if err == nil {
		return strings.TrimSpace(out.String()), nil
	}

	for _, text := range [][]byte{failure.Bytes(), out.Bytes(), []byte(err.Error())} {
		if len(bytes.TrimSpace(text)) > 0 {
			return process.Reason(text), fmt.Errorf("%s %s: %w", program, args[0], err)
		}
	}
	return "", err
}
