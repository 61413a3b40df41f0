// Command devstack is the servers of others that Mailroom's local stack runs, in one program:
// Temporal with its Web UI, and an S3 store. Each subcommand is one process, keeps its data in
// files, and may be killed at any time.
//
// Temporal is in temporal.go (its configuration in config.go, its database in database.go, the
// Web UI in webui.go), the store in store.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `usage:
  devstack temporal --db FILE [--ip 127.0.0.1] [--port 7233] [--ui-ip IP] [--ui-port 0: no Web UI]
                    [--synchronous normal] [--namespace default] [--search-attribute NAME=TYPE]...
                    [--codec-endpoint URL] [--log-level warn]
  devstack store    --dir DIR [--address 127.0.0.1:9000]     credentials from S3_ACCESS_KEY and S3_SECRET_KEY
  devstack version
`

const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text + "; `devstack help` lists the commands" }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := exitCode(run(ctx, os.Args[1:], os.Stdout), os.Stderr)
	stop()
	os.Exit(code)
}

// run runs one command until it ends or ctx does.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return usageError{"a command is missing"}
	}

	switch name, args := args[0], args[1:]; name {
	case "temporal":
		return runTemporal(ctx, args, stdout)
	case "store":
		return runStore(ctx, args, os.Getenv, stdout)
	case "version":
		return printVersions(stdout)
	case "help", "-h", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return usageError{"there is no command " + name}
	}
}

// exitCode says on one line why a command failed.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	_, _ = fmt.Fprintln(stderr, "devstack: "+strings.Join(lines, "; "))

	var wrong usageError
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailed
}

// parse reads the flags of a command that takes nothing else.
func parse(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	if err := flags.Parse(args); err != nil {
		return usageError{flags.Name() + ": " + err.Error()}
	}
	if flags.NArg() > 0 {
		return usageError{flags.Name() + ": what is " + flags.Arg(0) + "?"}
	}
	return nil
}
