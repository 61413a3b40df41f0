package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"

	"mailroom/deploy/dev/stack"
)

// startRates compares the dispatcher, which leases and marks rows, with bare starts on the
// same server. No worker runs meanwhile.
func (b *bench) startRates(ctx context.Context, d *ingressFigures) error {
	n := b.ingressEmails / startsOf
	if err := b.mail.Stop(stack.Worker); err != nil {
		return err
	}
	if err := b.configure(ctx, "ingress: {starts: {ahead: -1}}\n"); err != nil {
		return err
	}

	var bare, ours []float64
	for range b.rounds {
		rate, err := b.base.starts(ctx, n)
		if err != nil {
			return err
		}
		bare = append(bare, rate)
		if rate, err = b.drainRate(ctx, n); err != nil {
			return err
		}
		ours = append(ours, rate)
		b.say("  bare starts %.0f/s, dispatcher %.0f/s", bare[len(bare)-1], rate)
	}

	d.BareStarts, d.Starts = median(bare), median(ours)
	d.StartsOfBare = d.Starts / d.BareStarts

	if err := b.configure(ctx, ""); err != nil {
		return err
	}
	if err := b.mail.Start(ctx, stack.Worker); err != nil {
		return err
	}
	return b.drained(ctx, n*b.rounds)
}

// configure restarts the ingress with more configuration.
func (b *bench) configure(ctx context.Context, more string) error {
	text, err := os.ReadFile(b.config)
	if err != nil {
		return err
	}
	kept, _, _ := strings.Cut(string(text), "ingress:")
	if err := os.WriteFile(b.config, []byte(kept+more), 0o600); err != nil {
		return err
	}
	return b.mail.Restart(ctx, stack.Ingress)
}

// drainRate fills the inbox while Temporal is stopped and returns how many rows are started
// per second once it runs again, the first and the last tenth left out.
func (b *bench) drainRate(ctx context.Context, n int) (float64, error) {
	b.temporal.stop()
	requests, err := b.sender.requests(b.sender.bodies(n, smallMail, 0), false)
	if err != nil {
		return 0, err
	}
	if _, err := b.sender.wire(ctx, inFlight, requests, http.StatusOK); err != nil {
		return 0, err
	}
	if err := b.temporal.start(ctx); err != nil {
		return 0, err
	}

	var first, last time.Time
	var atFirst, atLast int
	err = poll(ctx, startWait, func() (bool, error) {
		var waiting int
		if err := b.db.QueryRow(ctx, "SELECT count(*) FROM inbox WHERE started_at IS NULL").Scan(&waiting); err != nil {
			return false, err
		}
		switch {
		case waiting > n*9/10:
		case first.IsZero():
			first, atFirst = time.Now(), waiting
		case waiting >= n/10:
			last, atLast = time.Now(), waiting
		}
		return waiting == 0, nil
	})
	if err != nil || !last.After(first) {
		return 0, fmt.Errorf("measure the dispatcher over %d rows: %w", n, err)
	}
	return float64(atFirst-atLast) / last.Sub(first).Seconds(), nil
}

// starts starts n workflows and returns how many per second the server accepts.
func (b *baseline) starts(ctx context.Context, n int) (float64, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, startFlights)

	began := time.Now()
	for range startFlights {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				_, err := b.tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
					ID: fmt.Sprintf("bare-%d-%d", began.UnixNano(), i), TaskQueue: "bench-no-worker",
				}, "Nothing", "input")
				if err != nil {
					errs <- fmt.Errorf("start: %w", err)
					return
				}
			}
		})
	}
	wg.Wait()

	select {
	case err := <-errs:
		return 0, err
	default:
		return float64(n) / time.Since(began).Seconds(), nil
	}
}
