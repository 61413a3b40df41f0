// Package command is the command line of `go run ./deploy/dev`: dev, up, down, status, test.
// Each target of the Makefile is one call of it. As mailroom-dev it runs the same stack outside
// of the repository, with programs that are installed beside it.
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
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
)

const usage = `usage: go run ./deploy/dev COMMAND, or outside of the repository: mailroom-dev COMMAND

  up [-config FILE]            start what does not run, return when it is usable
  dev [-config FILE]           up, send three sample emails, follow the logs, stop all on Ctrl-C
  status                       list what runs
  down [-clean]                stop everything that up has started; with -clean forget its data

  -store minio|versitygw       with up, dev: the object store of a new stack, else MinIO if it is on PATH;
                               with test: the object store of all tests (MinIO)
  -listen IP                   with up, dev: where webhook, console and Temporal Web UI listen (127.0.0.1)
  -dir FOLDER                  keep data and logs there (.mailroom), and take mailroom, mailctl, sink and
                               devstack from beside this program, as outside of the repository

In the repository only:
  build                        compile mailroom, mailctl and the sample destination into .dev/bin
  test [-services] [-slowest N] -- CMD ...
                               run CMD with services of its own; -services: do not build our programs;
                               -slowest: print the go test -json that CMD writes as text, and the N slowest
                               tests; further commands, each after --, run at the same time
  tool NAME                    build deploy/tools/NAME at its pinned version, print where it is
  temporal                     link Temporal's command line, from PATH or built, into .dev/bin; print where it is
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

// Run runs one command with its arguments and returns the exit code. Outside of the repository,
// config is the configuration of development.
func Run(args []string, config []byte, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	code, err := run(ctx, args, config, stdout, stderr)
	switch {
	case errors.Is(err, errUsage):
		_, _ = io.WriteString(stderr, usage)
		return exitUsage
	case err != nil && (ctx.Err() != nil || errors.Is(err, context.Canceled)):
		_, _ = fmt.Fprintln(stderr, "mailroom: interrupted: what is compiled and accepted is kept")
		return exitInterrupted
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "mailroom: "+explain(err))
		return exitFailed
	}
	return code
}

func run(ctx context.Context, args []string, builtIn []byte, stdout, stderr io.Writer) (int, error) {
	if len(args) == 0 {
		return exitUsage, errUsage
	}
	name, args := args[0], args[1:]
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	config := flags.String("config", "", "")
	clean := flags.Bool("clean", false, "")
	listen := flags.String("listen", "127.0.0.1", "")
	dir := flags.String("dir", "", "")
	store := flags.String("store", "", "")
	var testing testOptions
	flags.BoolVar(&testing.servicesOnly, "services", false, "")
	flags.IntVar(&testing.slowest, "slowest", 0, "")
	if err := flags.Parse(args); err != nil {
		return exitUsage, errUsage
	}
	place, err := here(os.Environ(), *dir, builtIn)
	if err != nil {
		return exitFailed, err
	}
	if place.listen, err = netip.ParseAddr(*listen); err != nil {
		return exitFailed, fmt.Errorf("-listen %s is no IP address: 127.0.0.1 serves this machine alone, 0.0.0.0 every network", *listen)
	}
	place.store = *store

	switch {
	case name == "up" && flags.NArg() == 0:
		return exitDone, up(ctx, place, *config, stdout)
	case name == "dev" && flags.NArg() == 0:
		return exitDone, dev(ctx, place, *config, stdout)
	case name == "down" && flags.NArg() == 0:
		return exitDone, down(ctx, place, *clean, stdout)
	case name == "status" && flags.NArg() == 0:
		return status(ctx, place, stdout)
	case place.root == "":
		return exitUsage, errUsage
	case name == "build" && flags.NArg() == 0:
		return exitDone, compile(ctx, place, stdout)
	case name == "test" && flags.NArg() > 0:
		return test(ctx, place, testing, flags.Args(), stdout, stderr)
	case name == "tool" && flags.NArg() == 1:
		return exitDone, tool(ctx, place, flags.Arg(0), stdout, stderr)
	case name == "temporal" && flags.NArg() == 0:
		return exitDone, temporal(ctx, place, stdout, stderr)
	}
	return exitUsage, errUsage
}

func compile(ctx context.Context, p place, stdout io.Writer) error {
	console := process.NewConsole(stdout)
	defer console.Reassure(ctx)()
	return stack.BuildPrograms(ctx, p.root, p.bin, console)
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

func temporal(ctx context.Context, p place, stdout, stderr io.Writer) error {
	console := process.NewConsole(stderr)
	defer console.Reassure(ctx)()
	path, err := p.tools(console).Link(ctx, p.bin, "temporal")
	if err == nil {
		_, err = fmt.Fprintln(stdout, p.show(path))
	}
	return err
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
