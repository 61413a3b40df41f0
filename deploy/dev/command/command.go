// Package command is the command line of `go run ./deploy/dev`: dev, up, down, status, test.
// Each target of the Makefile is one call of it.
//
// Invariants: a command that fails prints the reason in one line on standard error and exits
// with 1, or 2 for wrong usage; an interrupted command stops what it has started before it
// returns.
//
// Run dispatches to a file per command; the processes themselves are in deploy/dev/stack.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
)

const usage = `usage: go run ./deploy/dev COMMAND

  up [-config FILE]            start what does not run, return when it is usable
  dev [-config FILE]           up, send three sample emails, follow the logs, stop all on Ctrl-C
  status                       list what runs
  down [-clean]                stop everything that up has started; with -clean forget its data
  test [-services] [-slowest N] -- CMD ...
                               run CMD with services of its own; -services: do not build our programs;
                               -slowest: print the go test -json that CMD writes as text, and the N slowest
                               tests; further commands, each after --, run at the same time
  tool NAME                    build deploy/tools/NAME at its pinned version, print where it is
`

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as shells say it: 128 and SIGINT
)

// errUsage is returned for wrong usage; Run then prints the usage.
var errUsage = errors.New("usage")

// Run runs one command with its arguments and returns the exit code.
func Run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	code, err := run(ctx, args, stdout, stderr)
	switch {
	case errors.Is(err, errUsage):
		_, _ = io.WriteString(stderr, usage)
		return exitUsage
	case err != nil && (ctx.Err() != nil || errors.Is(err, context.Canceled)):
		_, _ = fmt.Fprintln(stderr, "mailroom: interrupted")
		return exitInterrupted
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "mailroom: "+process.OneLine(err))
		return exitFailed
	}
	return code
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	if len(args) == 0 {
		return exitUsage, errUsage
	}
	name, args := args[0], args[1:]
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	config := flags.String("config", "", "")
	clean := flags.Bool("clean", false, "")
	var testing testOptions
	flags.BoolVar(&testing.servicesOnly, "services", false, "")
	flags.IntVar(&testing.slowest, "slowest", 0, "")
	if err := flags.Parse(args); err != nil {
		return exitUsage, errUsage
	}
	place, err := here(os.Environ())
	if err != nil {
		return exitFailed, err
	}

	switch {
	case name == "up" && flags.NArg() == 0:
		return exitDone, up(ctx, place, *config, stdout)
	case name == "dev" && flags.NArg() == 0:
		return exitDone, dev(ctx, place, *config, stdout)
	case name == "down" && flags.NArg() == 0:
		return exitDone, down(ctx, place, *clean, stdout)
	case name == "status" && flags.NArg() == 0:
		return status(ctx, place, stdout)
	case name == "test" && flags.NArg() > 0:
		return test(ctx, place, testing, flags.Args(), stdout, stderr)
	case name == "tool" && flags.NArg() == 1:
		return exitDone, tool(ctx, place, flags.Arg(0), stdout, stderr)
	}
	return exitUsage, errUsage
}

// place is the repository that a command works on, and its environment variables.
type place struct {
	root string
	dir  string     // .dev
	vars stack.Vars // the calling environment, then .env, then the defaults of development
	own  stack.Vars // the calling environment alone

	composeEnv bool // .env is made for Compose and left alone
}

func here(environ []string) (place, error) {
	dir, err := os.Getwd()
	if err != nil {
		return place{}, fmt.Errorf("find the repository: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "deploy", "tools")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return place{}, errors.New("this is not inside Mailroom's repository: change to it first")
		}
	}
	return placeAt(dir, environ)
}

// placeAt returns the place of the repository whose root is dir.
func placeAt(dir string, environ []string) (place, error) {
	var err error
	p := place{root: dir, dir: filepath.Join(dir, ".dev")}
	if p.own, err = stack.Resolve(environ, "", nil); err != nil {
		return place{}, err
	}

	dotenv := filepath.Join(dir, ".env")
	if p.composeEnv, err = stack.ForCompose(dotenv); err != nil {
		return place{}, err
	}
	if p.composeEnv {
		dotenv = ""
	}
	p.vars, err = stack.Resolve(environ, dotenv, stack.DevDefaults())
	return p, err
}

func tool(ctx context.Context, p place, name string, stdout, stderr io.Writer) error {
	console := process.NewConsole(stderr)
	defer console.Reassure(ctx)()
	paths, err := p.tools(console).Build(ctx, name)
	if err != nil {
		return err
	}
	for _, path := range paths {
		_, _ = fmt.Fprintln(stdout, path)
	}
	return nil
}

func (p place) tools(console *process.Console) stack.Tools {
	return stack.Tools{Root: p.root, Dir: filepath.Join(p.dir, "tools"), Console: console}
}

// whileParent returns a context that also ends when the parent process ends, because `go
// run` and make do not always pass signals on.
func whileParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent {
					cancel()
				}
			}
		}
	}()
	return ctx, cancel
}
