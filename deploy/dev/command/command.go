// Package command is the command line of `go run ./deploy/dev`: dev, up, restart, down, status, test.
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
	"slices"
	"syscall"
	"time"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
)

const usage = `usage: go run ./deploy/dev COMMAND, or outside of the repository: mailroom-dev COMMAND

  up [-config FILE]            start what does not run, return when it is usable
  dev [-config FILE]           up, send three sample emails, follow the logs, stop all on Ctrl-C
  restart [-config FILE]       restart ingress and worker alone, with what has changed; no post is refused
  status                       list what runs
  down [-clean]                stop everything that up has started; with -clean forget its data

  -store minio|versitygw       with up, dev: the object store of a new stack, else MinIO if it is on PATH;
                               with test: the object store of all tests (MinIO)
  -listen IP                   with up, dev, restart: where webhook, console and Temporal Web UI listen (127.0.0.1)
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

// usageError is wrong usage, in words.
type usageError string

func (e usageError) Error() string { return string(e) }

// Run runs one command with its arguments and returns the exit code. Outside of the repository,
// config is the configuration of development.
func Run(args []string, config []byte, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A second Ctrl-C ends at once. One signal to a whole process group comes twice, since make
	// passes it on: the second of these must not end what stops the services.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })

	code := exitFailed
	c, err := read(args, config)
	if err == nil {
		code, err = c.run(ctx, stdout, stderr)
	}

	var wrong usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(stdout, usage)
		return exitDone
	case len(args) == 0:
		_, _ = io.WriteString(stderr, usage)
		return exitUsage
	case errors.As(err, &wrong):
		_, _ = fmt.Fprintf(stderr, "mailroom: %s; `help` lists the commands and their flags\n", wrong)
		return exitUsage
	case err != nil && (ctx.Err() != nil || errors.Is(err, context.Canceled)):
		_, _ = fmt.Fprintln(stderr, "mailroom: interrupted: what is compiled and accepted is kept")
		return exitInterrupted
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "mailroom: "+explain(err, c.place.caller))
		return exitFailed
	}
	return code
}

// flagsOf lists the flags that each command has.
var flagsOf = map[string][]string{
	"up": {"config", "store", "listen", "dir"}, "dev": {"config", "store", "listen", "dir"},
	"restart": {"config", "listen", "dir"}, "status": {"dir"}, "down": {"clean", "dir"},
	"build": {}, "test": {"services", "slowest", "store"}, "tool": {}, "temporal": {},
}

// call is a command line that has been read.
type call struct {
	name    string
	args    []string // that are no flags
	place   place
	config  string
	clean   bool
	testing testOptions
}

// read reads a command line and finds out where it works.
func read(args []string, builtIn []byte) (c call, err error) {
	if len(args) == 0 {
		return call{}, usageError("a command is missing")
	}
	c.name = args[0]
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.config, "config", "", "")
	flags.BoolVar(&c.clean, "clean", false, "")
	listen := flags.String("listen", "127.0.0.1", "")
	dir := flags.String("dir", "", "")
	store := flags.String("store", "", "")
	flags.BoolVar(&c.testing.servicesOnly, "services", false, "")
	flags.IntVar(&c.testing.slowest, "slowest", 0, "")

	known, found := flagsOf[c.name]
	if slices.Contains([]string{"help", "-h", "-help", "--help"}, c.name) {
		return call{}, flag.ErrHelp
	} else if !found {
		return call{}, usageError("there is no command " + c.name)
	}
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return call{}, err
	case err != nil:
		return call{}, usageError(c.name + ": " + err.Error())
	}
	flags.Visit(func(f *flag.Flag) {
		if !slices.Contains(known, f.Name) {
			err = usageError(c.name + " has no flag -" + f.Name)
		}
	})
	if err != nil {
		return call{}, err
	}
	c.args = flags.Args()

	if c.place, err = here(os.Environ(), *dir, builtIn); err != nil {
		return c, err
	}
	if c.place.listen, err = netip.ParseAddr(*listen); err != nil {
		return c, fmt.Errorf("-listen %s is no IP address: 127.0.0.1 serves this machine alone, 0.0.0.0 every network", *listen)
	}
	c.place.store = *store
	return c, nil
}

// run runs the command.
func (c call) run(ctx context.Context, stdout, stderr io.Writer) (int, error) {
	switch {
	case c.name == "test" && len(c.args) == 0, c.name == "tool" && len(c.args) != 1:
		return exitUsage, usageError(c.name + ": what follows is missing")
	case c.name != "test" && c.name != "tool" && len(c.args) > 0:
		return exitUsage, usageError(c.name + ": what is " + c.args[0] + "?")
	}

	switch c.name {
	case "up":
		return exitDone, up(ctx, c.place, c.config, stdout)
	case "dev":
		return exitDone, dev(ctx, c.place, c.config, stdout)
	case "restart":
		return exitDone, restart(ctx, c.place, c.config, stdout)
	case "down":
		return exitDone, down(ctx, c.place, c.clean, stdout)
	case "status":
		return status(ctx, c.place, stdout)
	}
	if c.place.root == "" {
		return exitUsage, usageError(c.name + " works in the repository only")
	}
	switch c.name {
	case "build":
		return exitDone, compile(ctx, c.place, stdout)
	case "test":
		return test(ctx, c.place, c.testing, c.args, stdout, stderr)
	case "tool":
		return exitDone, tool(ctx, c.place, c.args[0], stdout, stderr)
	default:
		return exitDone, temporal(ctx, c.place, stdout, stderr)
	}
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
