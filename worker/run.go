package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdkworker "go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	"mailroom/shared/contract"
	"mailroom/shared/postgres"
	"mailroom/shared/program"
	"mailroom/workflows"
)

// The bounds of one worker process.
const (
	// stopTimeout is how long activities may run after a stop was requested. A
	// deployment's grace period must be longer.
	stopTimeout = 15 * time.Second
	// emailsAtOnce bounds the workflow tasks that run concurrently; each makes the fast
	// attempts of one email. At most a quarter of them may wait for a destination.
	emailsAtOnce = 96
	// activitiesAtOnce bounds the durable attempts. A hung destination holds at most its own
	// max_in_flight of them, and all destinations together hold at most three quarters.
	activitiesAtOnce = 400
	// cachedWorkflows is how many open workflows are kept in memory; a decision about a
	// held email beyond that costs a replay of its history.
	cachedWorkflows = 600
	connections     = 24
)

// Run processes emails until ctx is done or the worker cannot continue. It waits for
// PostgreSQL and Temporal; a pending migration is an error.
func Run(ctx context.Context, c program.Config) (err error) {
	if err := Check(c); err != nil {
		return err
	}
	p, err := program.New(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return serve(ctx, p)
}

func serve(ctx context.Context, p *program.Program) error {
	db, err := p.OpenDatabase(ctx, postgres.Config{MaxConns: connections})
	if err != nil {
		return err
	}
	if err := p.AwaitMigrations(ctx, db); err != nil {
		return err
	}
	if err := p.Register(newOpenEmails(postgres.NewViews(db), p.Logger)); err != nil {
		return err
	}
	store, err := p.OpenObjectStore()
	if err != nil {
		return err
	}
	scan, err := newScanner(p.Env.ClamdAddress, p.File.Scanner, p.Logger)
	if err != nil {
		return err
	}
	p.Background(ctx, scan.Watch)

	activities, err := newActivitySet(p, newStores(db), objects{store}, scan)
	if err != nil {
		return err
	}
	p.OnClose(func(context.Context) error { activities.sender.Close(); return nil })
	p.Background(ctx, func(ctx context.Context) { indexSearches(ctx, postgres.NewViews(db), indexEvery, p.Logger) })
	if err := followControls(ctx, p, activities.sender, postgres.NewDeliveries(db)); err != nil {
		return err
	}

	tc, err := dial(ctx, p, activities.tasks.dialOption())
	if err != nil {
		return err
	}
	if err := activities.wireBatches(p, newStores(db), objects{store}, scan, tc); err != nil {
		return err
	}
	p.Background(ctx, func(ctx context.Context) { scheduleMaintenance(ctx, p, tc) })
	ready := readiness{db: db, store: store, temporal: &namespace{Client: tc}, scanner: scan}
	if err := p.ServeMetrics(ctx, ready); err != nil {
		return err
	}
	reports := reporter{worker: workerName(), check: ready.check, store: postgres.NewWorkers(db), logger: p.Logger}
	p.Background(ctx, func(ctx context.Context) { reports.repeat(ctx, reportEvery) })
	return poll(ctx, tc, activities, p)
}

// dial connects to Temporal as soon as it answers. watch observes the tasks that the
// worker polls.
func dial(ctx context.Context, p *program.Program, watch grpc.DialOption) (client.Client, error) {
	options, err := p.TemporalOptions()
	if err != nil {
		return nil, err
	}
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, watch)

	var tc client.Client
	err = p.Await(ctx, "temporal", func(ctx context.Context) error {
		var err error
		if tc, err = client.DialContext(ctx, options); err != nil {
			return fmt.Errorf("dial: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.OnClose(func(context.Context) error { tc.Close(); return nil })
	return tc, nil
}

// poll works on tasks until ctx is done or the worker cannot continue.
func poll(ctx context.Context, tc client.Client, a *activitySet, p *program.Program) error {
	fatal := make(chan error, 1)

	sdkworker.SetStickyWorkflowCacheSize(cachedWorkflows)
	w := sdkworker.New(tc, contract.TaskQueue, sdkworker.Options{
		MaxConcurrentWorkflowTaskExecutionSize: emailsAtOnce,
		MaxConcurrentActivityExecutionSize:     activitiesAtOnce,
		MaxConcurrentWorkflowTaskPollers:       16,
		MaxConcurrentActivityTaskPollers:       4,
		WorkerStopTimeout:                      stopTimeout,
		Interceptors: []interceptor.WorkerInterceptor{
			&attemptInterceptor{tasks: a.tasks}, workflows.NewSignalInterceptor(a.recorder.unknownSignals.Inc),
		},
		OnFatalError: func(err error) {
			select {
			case fatal <- err:
			default:
			}
		},
	})
	a.register(w)

	if err := w.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	p.Logger.Info("worker.started", "task_queue", contract.TaskQueue)
	p.Serving()
	defer w.Stop()

	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return fmt.Errorf("poll temporal: %w", err)
	}
}
