package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const baselineQueue = "bench-baseline"

// baseline runs the workflows that Mailroom is compared with.
type baseline struct {
	tc   client.Client
	done atomic.Int64
	w    worker.Worker
}

// step is one of the five regular activities; like the others it does nothing.
func step(context.Context, string) (string, error) { return "done", nil }

func startBaseline(tc client.Client) (*baseline, error) {
	b := &baseline{tc: tc}
	b.w = worker.New(tc, baselineQueue, worker.Options{MaxConcurrentWorkflowTaskPollers: 16, MaxConcurrentActivityTaskPollers: 16})
	b.w.RegisterWorkflowWithOptions(b.nothing, workflow.RegisterOptions{Name: "Nothing"})
	b.w.RegisterWorkflowWithOptions(b.five, workflow.RegisterOptions{Name: "Five"})
	b.w.RegisterActivity(step)
	return b, b.w.Start()
}

// nothing is the least that a workflow can be.
func (b *baseline) nothing(workflow.Context, string) error {
	b.done.Add(1)
	return nil
}

// five is a usual workflow: one regular activity a step.
func (b *baseline) five(ctx workflow.Context, in string) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	for range 5 {
		if err := workflow.ExecuteActivity(ctx, step, in).Get(ctx, nil); err != nil {
			return err
		}
	}
	b.done.Add(1)
	return nil
}

// rate runs n workflows of a kind, sixteen starts in flight, and returns how many ended
// per second.
func (b *baseline) rate(ctx context.Context, kind string, n int) (float64, error) {
	b.done.Store(0)
	began := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, inFlight)

	for range inFlight {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				_, err := b.tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
					ID: fmt.Sprintf("%s-%d-%d", kind, began.UnixNano(), i), TaskQueue: baselineQueue,
				}, kind, "input")
				if err != nil {
					errs <- fmt.Errorf("start %s: %w", kind, err)
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
	}
	err := poll(ctx, 5*time.Minute, func() (bool, error) { return b.done.Load() >= int64(n), nil })
	return float64(n) / time.Since(began).Seconds(), err
}

// poll calls done every few milliseconds until it returns true or an error.
func poll(ctx context.Context, patience time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not done after %s", patience)
		case <-tick.C:
		}
	}
}
