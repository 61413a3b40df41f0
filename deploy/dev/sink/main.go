// Command sink is a sample destination: it records what it receives, honours
// idempotency keys, checks signatures and fails on request. It is for
// development, tests and benchmarks alone.
//
//	POST /<name>     receives a delivery; a known key is answered 200 with "repeat":true
//	GET  /            shows the newest effects to a browser
//	GET  /effects    counts and the newest effects; ?path= ?key= ?event_id= ?limit=; DELETE forgets them
//	POST /control    scripts failures, see Script; GET lists them, DELETE ?path= clears them
//	GET  /healthz
//
// Environment: SINK_LISTEN (127.0.0.1:8090), SINK_FILE (JSON lines, one for each
// request, read again at the start so that no key is forgotten; none when empty), SINK_BODIES (0 leaves the bodies out of the file),
// SINK_SECRET (set: unsigned or wrongly signed requests get 401), SINK_KEYS (how
// many keys are remembered, 1000000).
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: sink

The sample destination: it records what it receives, honours idempotency keys, and fails on request.

Environment:
  SINK_LISTEN   the address to listen on (default 127.0.0.1:8090)
  SINK_FILE     a file of JSON lines, one for each request, that outlives a restart (default: none)
  SINK_BODIES   0 leaves the bodies out of that file
  SINK_SECRET   answers 401 to requests that are not signed with it
  SINK_KEYS     how many keys are remembered (default 1000000)
`

func main() {
	if len(os.Args) > 1 {
		os.Exit(explain(os.Args[1:], os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "sink:", err)
		os.Exit(1) //nolint:gocritic // exitAfterDefer: stop only restores signal handling
	}
}

// explain prints the usage, and returns the exit code: arguments other than --help are wrong.
func explain(args []string, stdout, stderr io.Writer) int {
	if args[0] == "--help" || args[0] == "-h" || args[0] == "help" {
		_, _ = io.WriteString(stdout, usage)
		return 0
	}
	_, _ = fmt.Fprintf(stderr, "sink: unexpected argument %s: the environment configures it (see sink --help)\n", args[0])
	return 2
}
