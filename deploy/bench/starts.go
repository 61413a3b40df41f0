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
func (p *ingressPart) startRates(ctx context.Context, d *ingressFigures) error {
	n := p.ingressEmails / startsOf
	if err := p.mail.Stop(stack.Worker); err != nil {
		return err
	}
	if err := p.configure(ctx, "ingress: {starts: {ahead: -1}}\n"); err != nil {
		return err
	}

	var bare, ours []float64
	for range p.rounds {
		rate, err := p.base.starts(ctx, n)
		if err != nil {
			return err
		}
		bare = append(bare, rate)
		if rate, err = p.drainRate(ctx, n); err != nil {
			return err
		}
		ours = append(ours, rate)
		p.say("  bare starts %.0f/s, dispatcher %.0f/s", bare[len(bare)-1], rate)
	}

	d.BareStarts, d.Starts = median(bare), median(ours)
	d.StartsOfBare = d.Starts / d.BareStarts

	if err := p.configure(ctx, ""); err != nil {
		return err
	}
	if err := p.mail.Start(ctx, stack.Worker); err != nil {
		return err
	}
	return p.drained(ctx, n*p.rounds)
}

// configure restarts the ingress with more configuration.
func (p *ingressPart) configure(ctx context.Context, more string) error {
	text, err := os.ReadFile(p.config)
	if err != nil {
		return err
	}
	kept, _, _ := strings.Cut(string(text), "ingress:")
	if err := os.WriteFile(p.config, []byte(kept+more), 0o600); err != nil {
		return err
	}
	return p.mail.Restart(ctx, stack.Ingress)
}

// drainRate fills the inbox while Temporal is stopped and returns how many rows are started
// per second once it runs again, the first and the last tenth left out.
func (p *ingressPart) drainRate(ctx context.Context, n int) (float64, error) {
	p.temporal.stop()
	requests, err := p.sender.requests(p.sender.bodies(n, smallMail, 0), false)
	if err != nil {
		return 0, err
	}
	if _, err := p.sender.wire(ctx, inFlight, requests, http.StatusOK); err != nil {
		return 0, err
	}
	if err := p.temporal.start(ctx); err != nil {
		return 0, err
	}

	var first, last time.Time
	var atFirst, atLast int
	err = poll(ctx, startWait, func() (bool, error) {
		var waiting int
		if err := p.db.QueryRow(ctx, "SELECT count(*) FROM inbox WHERE started_at IS NULL").Scan(&waiting); err != nil {
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
