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

// BuildPrograms compiles Mailroom's programs from the repository at root into bin. A program
// that runs keeps what it was started from.
func BuildPrograms(ctx context.Context, root, bin string, console *process.Console) error {
	if err := os.MkdirAll(bin, 0o755); err != nil { //nolint:gosec // programs for every user
		return fmt.Errorf("make %s: %w", bin, err)
	}
	b := goBuild{
		what: "mailroom", dir: root, out: bin + string(filepath.Separator), packages: ourPrograms[:],
		flags: []string{"-ldflags", stamps(ctx, root)},
	}
	return b.run(ctx, console)
}

// stamps returns the linker flags by which the programs know what they are built from: the
// version that VERSION names, the commit of the repository, which ends in -dirty where files
// differ from it, and its date. What git cannot say is left out.
func stamps(ctx context.Context, root string) string {
	git := func(args ...string) string {
		cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // fixed calls
		cmd.Dir, cmd.Env = root, append(os.Environ(), "TZ=UTC")
		said, _ := cmd.Output()
		return strings.TrimSpace(string(said))
	}
	const variable = " -X mailroom/shared/build."
	return variable + "version=" + cmp.Or(os.Getenv("VERSION"), "dev") +
		variable + "commit=" + git("describe", "--always", "--abbrev=40", "--dirty", "--exclude", "*") +
		variable + "date=" + git("log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd")
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
