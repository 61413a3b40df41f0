package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mailroom/deploy/dev/stack"
)

// commandGrace is how long an interrupted test command may take to end.
const commandGrace = 10 * time.Second

// foreign are variables of the caller that would lead tests to other servers than
// those that are started for them.
var foreign = [...]string{"MAILROOM_", "TEMPORAL_", "S3_", "DATABASE_URL", "CLAMD_ADDRESS", "PG"}

// test runs a command beside servers of its own, on free ports and in a folder of
// its own, so that it disturbs neither a running stack nor another test run, and
// gives the command's exit code. Whatever the command leaves running is stopped.
func test(ctx context.Context, p place, servicesOnly bool, args []string, out io.Writer) (code int, err error) {
	ctx, cancel := whileParent(ctx)
	defer cancel()
	console := stack.NewConsole(out)
	if err := sweepLeft(ctx, p, console); err != nil {
		return exitFailed, err
	}
	if stack.FindClamd() == "" {
		return exitFailed, errors.New("clamd is not installed, and the tests scan with it: apt-get install --no-install-recommends clamav-daemon")
	}
	browser, err := findBrowser(ctx, p, console)
	if err != nil {
		return exitFailed, err
	}
	dir := filepath.Join(p.dir, fmt.Sprintf("test-%d", os.Getpid()))
	defer func() {
		err = errors.Join(err, stack.Sweep(context.WithoutCancel(ctx), dir, console))
	}()
	s, err := testStack(p, dir, console)
	if err != nil {
		return exitFailed, err
	}
	console.Say("Services for tests (in %s):", p.show(dir))
	if err := startAll(ctx, p, s, servicesOnly, filepath.Join(dir, "bin"), console); err != nil {
		return exitFailed, err
	}
	return runCommand(ctx, args, p.testEnviron(s, browser), out)
}

// findBrowser gives the variables that lead tests to a browser and to the
// accessibility checker which they put into its pages.
func findBrowser(ctx context.Context, p place, console *stack.Console) (stack.Vars, error) {
	chromium := stack.FindChromium()
	if chromium == "" {
		return nil, errors.New("chromium is not installed, and the tests drive a browser: apt-get install --no-install-recommends chromium")
	}
	tools := stack.Tools{Root: p.root, Dir: filepath.Join(p.dir, "tools"), Console: console}
	axe, err := tools.Package(ctx, "axe")
	if err != nil {
		return nil, err
	}
	return stack.Vars{
		"MAILROOM_TEST_CHROMIUM": chromium,
		"MAILROOM_TEST_AXE":      filepath.Join(axe, "node_modules", "axe-core", "axe.min.js"),
	}, nil
}

func testStack(p place, dir string, console *stack.Console) (*stack.Stack, error) {
	ports, err := stack.FreePorts()
	if err != nil {
		return nil, err
	}
	options := stack.Options{
		Dir: dir, Bin: filepath.Join(dir, "bin"), Tools: filepath.Join(p.dir, "tools"), Root: p.root,
		Services: stack.Servers(), Ports: ports, Throwaway: true, Console: console,
		Vars: p.own.Except(foreign[:]...).With(stack.DevDefaults()),
	}
	if url := p.own.Get("MAILROOM_TEST_DATABASE_URL"); url != "" {
		options.Infra.DatabaseURL = url
		options.Services = without(options.Services, stack.Postgres)
	}
	s, err := stack.New(options)
	if err != nil {
		return nil, err
	}
	return s, s.Claim()
}

func startAll(ctx context.Context, p place, s *stack.Stack, servicesOnly bool, bin string, console *stack.Console) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Up(ctx) })
	if !servicesOnly {
		group.Go(func() error { return stack.BuildPrograms(ctx, p.root, bin, console) })
	}
	return group.Wait()
}

func (p place) testEnviron(s *stack.Stack, more stack.Vars) []string {
	vars := p.own.Except(foreign[:]...)
	maps.Copy(vars, s.TestVars())
	maps.Copy(vars, more)
	return vars.List()
}

// runCommand runs args in a process group of its own, which is ended as a whole.
func runCommand(ctx context.Context, args, environ []string, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // what the caller wants run
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, os.Stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = commandGrace
	if err := cmd.Start(); err != nil {
		return exitFailed, fmt.Errorf("run %s: %w", args[0], err)
	}
	err := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return exitInterrupted, ctx.Err()
	case errors.As(err, &ended) && ended.Exited():
		return ended.ExitCode(), nil
	case err != nil:
		return exitFailed, fmt.Errorf("run %s: %w", args[0], err)
	}
	return exitDone, nil
}

// sweepLeft stops and removes what test runs have left that were killed before
// they could do it.
func sweepLeft(ctx context.Context, p place, console *stack.Console) error {
	dirs, err := filepath.Glob(filepath.Join(p.dir, "test-*"))
	if err != nil {
		return fmt.Errorf("look for old test runs: %w", err)
	}
	for _, dir := range dirs {
		s, err := stack.New(stack.Options{Dir: dir})
		if err != nil {
			return err
		}
		if s.Owned() {
			continue
		}
		console.Say("stopping what an earlier test run left in %s", p.show(dir))
		if err := stack.Sweep(ctx, dir, console); err != nil {
			return err
		}
	}
	return nil
}
