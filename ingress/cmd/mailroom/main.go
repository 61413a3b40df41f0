// Command mailroom is the server. It runs as one of several roles: `mailroom
// ingress` receives webhooks and serves operators, `mailroom worker` processes
// emails, `mailroom all` does both in one process. `mailroom migrate` prepares the
// database for them. The environment configures it; see config.Env.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

const description = `Receive email as webhooks and deliver it durably.

MAILROOM_CONFIG names the configuration file; the environment says where PostgreSQL, Temporal, the object store and the scanner are.
SIGHUP makes a role read the file again.

Exit codes: 0 done, 1 failed, 2 usage.`

type commands struct {
	Ingress ingressCommand `cmd:"" help:"Receive webhooks; serve the console and the operator API."`
	Worker  workerCommand  `cmd:"" help:"Process accepted emails: store, inspect, route, deliver."`
	All     allCommand     `cmd:"" help:"Run ingress and worker in one process."`
	Migrate migrateCommand `cmd:"" help:"Apply the pending migrations to the database."`
	Version versionCommand `cmd:"" help:"Print version, commit with its date, and Go version."`
}

// process is what a command may use of the process that it runs in.
type process struct {
	getenv func(string) string
	stdout io.Writer
	stderr io.Writer
	reload <-chan os.Signal // asks a role to read its configuration again; nil: never
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], &process{getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr, reload: reload})
	stop()
	os.Exit(code)
}

// exited takes the exit code out of kong, which ends --help by calling Exit.
type exited int

// run runs the command that args name until it is done or ctx is, and returns the
// exit code.
func run(ctx context.Context, args []string, p *process) (code int) {
	defer func() {
		if v := recover(); v != nil {
			e, ok := v.(exited)
			if !ok {
				panic(v)
			}
			code = int(e)
		}
	}()

	parser, err := kong.New(&commands{},
		kong.Name("mailroom"), kong.Description(description),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return p.report(fmt.Errorf("command line: %w", err))
	}

	parsed, err := parser.Parse(args)
	if err != nil {
		return p.report(usageError{err.Error() + " (see mailroom --help)"})
	}
	return p.report(parsed.Run(p))
}

// usageError is a mistake in how the program was called.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// report prints err and returns the exit code.
func (p *process) report(err error) int {
	if err == nil {
		return exitDone
	}
	_, _ = fmt.Fprintln(p.stderr, "mailroom:", err)

	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
