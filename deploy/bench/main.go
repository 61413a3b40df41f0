package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "the repository")
	flag.StringVar(&o.out, "json", ".dev/bench.json", "the file to which the figures are written as JSON")
	flag.IntVar(&o.rounds, "rounds", 3, "how often rates that are compared are measured; the median counts")
	flag.IntVar(&o.emails, "emails", 1000, "emails of one round end to end, and of the replay")
	flag.IntVar(&o.burst, "burst", 10_000, "emails of the burst end to end")
	flag.IntVar(&o.ingressEmails, "ingress", 20_000, "emails of the burst that measures the ingress alone")
	flag.IntVar(&o.held, "held", 10_000, "held emails that one decision is about")
	flag.IntVar(&o.ledger, "ledger", 100_000, "emails in the ledger that operators ask")
	flag.StringVar(&o.part, "part", "all", "ingress, emails (end to end), all (both), or operators")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
