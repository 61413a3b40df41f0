// Command worker carries accepted emails through their steps. It takes no
// arguments; the environment says where things are and MAILROOM_CONFIG what to
// do with mail.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"mailroom/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := worker.Run(ctx, os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}
