// Command mailctl sends and checks webhooks and decides about emails from the
// command line. See package mailctl.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"mailroom/ingress/mailctl"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return mailctl.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
}
