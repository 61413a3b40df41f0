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
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mailroom/deploy/dev/gotest"
	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
)

// commandGrace is how long an interrupted test command may take to end before it is killed.
const commandGrace = 10 * time.Second

// postgresBin chooses the PostgreSQL that is run, also for tests.
const postgresBin = "MAILROOM_POSTGRES_BIN"

// foreign lists variables of the caller that would direct tests to servers other than those that
// are started for them.
var foreign = [...]string{"MAILROOM_", "TEMPORAL_", "S3_", "DATABASE_URL", "CLAMD_ADDRESS", "PG"}

// testOptions are the flags of the command test.
type testOptions struct {
	servicesOnly bool // our programs are not built
	slowest      int  // how many tests to list; 0: the output of the command is no JSON, and left alone
}

// test runs a command with its own servers, on free ports and in a folder of its own, so that it
// affects neither a running stack nor another test run. It returns the exit code of the command
// and stops every process that the command leaves running.
func test(ctx context.Context, p place, options testOptions, args []string, stdout, stderr io.Writer) (code int, err error) {
	ctx, cancel := whileParent(ctx)
	defer cancel()

	console := process.NewConsole(stderr)
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
	if err := startAll(ctx, p, s, options.servicesOnly, filepath.Join(dir, "bin"), console); err != nil {
		return exitFailed, err
	}

	environ := p.testEnviron(s, dir, browser)
	if options.slowest == 0 {
		return runCommand(ctx, args, environ, stdout, stderr)
	}
	return runTests(ctx, split(args), environ, options.slowest, stdout, stderr)
}

// split returns the commands in a list of arguments that "--" separates.
func split(args []string) [][]string {
	commands := [][]string{{}}
	for _, arg := range args {
		if arg == "--" {
			commands = append(commands, nil)
			continue
		}
		last := len(commands) - 1
		commands[last] = append(commands[last], arg)
	}
	return slices.DeleteFunc(commands, func(c []string) bool { return len(c) == 0 })
}

// runTests runs commands concurrently that write events of go test -json, prints the events as
// text, and returns the exit code of the first command that failed, else 0.
func runTests(ctx context.Context, commands [][]string, environ []string, slowest int, stdout, stderr io.Writer) (int, error) {
	printer := gotest.NewPrinter(stdout, slices.Contains(slices.Concat(commands...), "-v"))
	codes, failed := make([]int, len(commands)), make([]error, len(commands))
	var running sync.WaitGroup
	for i, args := range commands {
		running.Go(func() { codes[i], failed[i] = printEvents(ctx, printer, args, environ, stderr) })
	}
	running.Wait()

	printer.PrintSlowest(slowest)
	for _, code := range codes {
		if code != exitDone {
			return code, errors.Join(failed...)
		}
	}
	return exitDone, errors.Join(failed...)
}

// printEvents runs one command and prints the events that it writes.
func printEvents(ctx context.Context, printer *gotest.Printer, args, environ []string, stderr io.Writer) (int, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return exitFailed, fmt.Errorf("read events: %w", err)
	}
	defer func() { _ = read.Close() }()

	printed := make(chan error, 1)
	go func() { printed <- printer.Print(read) }()
	code, err := runCommand(ctx, args, environ, write, stderr)
	_ = write.Close()
	_ = read.SetReadDeadline(time.Now().Add(commandGrace)) // what the command left running may hold the other end
	return code, errors.Join(err, <-printed)
}

// findBrowser returns the variables that name the browser and the accessibility checker to
// tests.
func findBrowser(ctx context.Context, p place, console *process.Console) (stack.Vars, error) {
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

func testStack(p place, dir string, console *process.Console) (*stack.Stack, error) {
	ports, err := stack.FreePorts()
	if err != nil {
		return nil, err
	}
	services := append(stack.Servers(), stack.Versity)
	if p.store == stack.Versity { // all tests with it, not only those of object stores
		services = without(services, stack.MinIO)
	}
	options := stack.Options{
		Dir: dir, Bin: filepath.Join(dir, "bin"), Tools: filepath.Join(p.dir, "tools"), Root: p.root,
		Services: services, Ports: ports, Throwaway: true, Console: console,
		Vars: p.own.Except(foreign[:]...).With(stack.DevDefaults()).With(stack.Vars{postgresBin: p.own.Get(postgresBin)}),
	}
	if url := p.own.Get("MAILROOM_TEST_DATABASE_URL"); url != "" {
		options.Infra.DatabaseURL = url
		options.Services = without(options.Services, stack.Postgres)
	}
	return stack.New(options)
}

func startAll(ctx context.Context, p place, s *stack.Stack, servicesOnly bool, bin string, console *process.Console) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Up(ctx) })
	group.Go(func() error {
		_, err := p.tools(console).Link(ctx, bin, "temporal")
		return err
	})
	if !servicesOnly {
		group.Go(func() error { return linkPrograms(ctx, p, bin, console) })
	}
	return group.Wait()
}

// linkPrograms compiles our programs into the folder that the next test run reuses, and links bin
// to it. go build does not rewrite an unchanged program, and writes a changed one to a new file.
func linkPrograms(ctx context.Context, p place, bin string, console *process.Console) error {
	built := filepath.Join(p.dir, "programs")
	unlock, err := process.Lock(ctx, built+".lock", "the compilation for another test run", console)
	if err != nil {
		return err
	}
	defer unlock()
	if err := stack.BuildPrograms(ctx, p.root, built, console); err != nil {
		return err
	}

	if err := os.MkdirAll(bin, 0o755); err != nil { //nolint:gosec // programs for everybody
		return fmt.Errorf("link programs: %w", err)
	}
	for _, name := range stack.ProgramNames() {
		if err := os.Link(filepath.Join(built, name), filepath.Join(bin, name)); err != nil {
			return fmt.Errorf("link programs: %w", err)
		}
	}
	return nil
}

func (p place) testEnviron(s *stack.Stack, dir string, more stack.Vars) []string {
	vars := p.own.Except(foreign[:]...)
	maps.Copy(vars, s.Infra().TestVars(dir, filepath.Join(dir, "bin")))
	vars["MAILROOM_TEST_VERSITYGW"] = s.VersityURL()
	maps.Copy(vars, more)
	return vars.List()
}

// runCommand runs a command in a process group of its own and returns the exit code. It ends the
// whole group when ctx ends, and what is left of the group when the command ends.
func runCommand(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // what the caller wants run
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, stdout, stderr
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

// sweepLeft stops the processes and removes the files that earlier, killed test runs have left.
func sweepLeft(ctx context.Context, p place, console *process.Console) error {
	dirs, err := filepath.Glob(filepath.Join(p.dir, "test-*"))
	if err != nil {
		return fmt.Errorf("look for old test runs: %w", err)
	}
	for _, dir := range dirs {
		owned, err := stack.Owned(dir)
		if err != nil {
			return err
		}
		if owned {
			continue
		}

		console.Say("stopping what an earlier test run left in %s", p.show(dir))
		if err := stack.Sweep(ctx, dir, console); err != nil {
			return err
		}
	}
	return nil
}
