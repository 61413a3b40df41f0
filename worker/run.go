package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	sdkworker "go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
	"mailroom/shared/secret"
	"mailroom/shared/telemetry"
	"mailroom/shared/temporal"
)

// The bounds of one worker process.
const (
	// stopTimeout is how long activities may go on after a stop was asked for. A
	// deployment's grace period must be longer.
	stopTimeout = 20 * time.Second
	// emailsAtOnce bounds the workflow tasks that run side by side: each carries one
	// email through its fast tries. A quarter of them at most may wait for a destination.
	emailsAtOnce = 96
	// activitiesAtOnce bounds the durable tries. A hung destination holds at most its own
	// max_in_flight of them, and all together hold at most three quarters.
	activitiesAtOnce = 400
	// cachedWorkflows is how many open workflows are kept in memory; held mail
	// beyond that costs a replay when somebody decides, and nothing before.
	cachedWorkflows = 600
	connections     = 24
	retryEvery      = time.Second
)

// Run opens what env names, processes emails until ctx is done or the worker cannot
// go on, and closes everything in the reverse order. secrets is what file was
// resolved with; the caller keeps it fresh while Run lasts.
func Run(ctx context.Context, env config.Env, file *config.File, secrets *secret.Store, logger *slog.Logger) error {
	var c closers
	defer c.close(logger)
	return serve(ctx, file, env, secrets, logger, &c)
}

// closers are run in the reverse order of their opening.
type closers []func(context.Context) error

func (c *closers) add(f func(context.Context) error) { *c = append(*c, f) }

// background runs f until ctx is done or the closers are run, which waits for its end.
func (c *closers) background(ctx context.Context, f func(context.Context)) {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	c.add(func(context.Context) error { stop(); <-done; return nil })
}

func (c *closers) close(logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, f := range slices.Backward(*c) {
		if err := f(ctx); err != nil {
			logger.Warn("worker.close", "error", err)
		}
	}
}

func serve(ctx context.Context, file *config.File, env config.Env, secrets *secret.Store, logger *slog.Logger, c *closers) error {
	reg := telemetry.NewRegistry()
	if err := reg.Register(secret.NewCollector(secrets)); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	db, err := openLedger(ctx, env, logger, c)
	if err != nil {
		return err
	}
	if err := reg.Register(newOpenEmails(postgres.NewViews(db), logger)); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	store, err := openStore(env)
	if err != nil {
		return err
	}
	scan, err := newScanner(env.ClamdAddress, file.Scanner, logger)
	if err != nil {
		return err
	}
	c.background(ctx, scan.Watch)
	p, err := newParts(file, newStores(db), objects{store}, scan, logger, reg)
	if err != nil {
		return err
	}
	c.add(func(context.Context) error { p.sender.Close(); return nil })
	c.background(ctx, func(ctx context.Context) { keepIndexed(ctx, postgres.NewViews(db), indexEvery, logger) })
	if err := steer(ctx, p.sender, postgres.NewDeliveries(db), logger, c); err != nil {
		return err
	}
	tc, err := dial(ctx, file.Encryption, p.tasks.dialOption(), logger, reg, c)
	if err != nil {
		return err
	}
	if err := p.many(file, newStores(db), objects{store}, scan, tc); err != nil {
		return err
	}
	c.background(ctx, func(ctx context.Context) { scheduleTending(ctx, tc, logger) })
	ready := readiness{db: db, store: store, temporal: tc, scanner: scan}
	stop, err := telemetry.ServeMetrics(ctx, env.MetricsListen, reg, logger, map[string]http.Handler{"/readyz": ready})
	if err != nil {
		return err
	}
	c.add(stop)
	return poll(ctx, tc, p, logger)
}

// poll works until ctx ends or the worker cannot go on.
func poll(ctx context.Context, tc client.Client, p *parts, logger *slog.Logger) error {
	fatal := make(chan error, 1)
	sdkworker.SetStickyWorkflowCacheSize(cachedWorkflows)
	w := sdkworker.New(tc, contract.TaskQueue, sdkworker.Options{
		MaxConcurrentWorkflowTaskExecutionSize: emailsAtOnce,
		MaxConcurrentActivityExecutionSize:     activitiesAtOnce,
		MaxConcurrentWorkflowTaskPollers:       16,
		MaxConcurrentActivityTaskPollers:       4,
		WorkerStopTimeout:                      stopTimeout - 5*time.Second,
		Interceptors:                           []interceptor.WorkerInterceptor{&steps{tasks: p.tasks}},
		OnFatalError: func(err error) {
			select {
			case fatal <- err:
			default:
			}
		},
	})
	p.register(w)
	if err := w.Start(); err != nil {
		return fmt.Errorf("start worker: %w", err)
	}
	logger.Info("worker.started", "task_queue", contract.TaskQueue)
	defer w.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return fmt.Errorf("poll temporal: %w", err)
	}
}

// openLedger opens the database and waits until it is there; a pending migration
// is an error.
func openLedger(ctx context.Context, env config.Env, logger *slog.Logger, c *closers) (*postgres.DB, error) {
	db, err := postgres.Open(ctx, env.DatabaseURL.Reveal(), postgres.Config{MaxConns: connections})
	if err != nil {
		return nil, err
	}
	c.add(func(context.Context) error { db.Close(); return nil })
	err = patiently(ctx, logger, "postgres", func(ctx context.Context) (bool, error) {
		err := db.Pending(ctx)
		return fault.Is(err, fault.StorageUnavailable), err
	})
	return db, err
}

func openStore(env config.Env) (*blob.Store, error) {
	return blob.New(blob.Config{
		Endpoint: env.S3Endpoint, PublicEndpoint: env.S3Public, Region: env.S3Region,
		AccessKey: env.S3AccessKey, SecretKey: env.S3SecretKey,
		RawBucket: env.RawBucket, AttachmentsBucket: env.AttachmentsBucket,
	})
}

// dial connects to Temporal and waits until it is there. watch sees what the worker is
// given to do.
func dial(ctx context.Context, encryption config.Encryption, watch grpc.DialOption, logger *slog.Logger, reg prometheus.Registerer, c *closers) (client.Client, error) {
	keys, err := seal.New(encryption)
	if err != nil {
		return nil, fmt.Errorf("encryption: %w", err)
	}
	if keys.Empty() {
		logger.Warn("encryption.off", "detail", "encryption.keys is empty: what Temporal keeps is not encrypted")
	}
	handler, shutdown, err := telemetry.TemporalMetrics(reg, logger)
	if err != nil {
		return nil, err
	}
	c.add(shutdown)
	options, err := temporal.Options(logger, handler, keys)
	if err != nil {
		return nil, err
	}
	options.ConnectionOptions.DialOptions = append(options.ConnectionOptions.DialOptions, watch)
	var tc client.Client
	err = patiently(ctx, logger, "temporal", func(ctx context.Context) (bool, error) {
		var err error
		if tc, err = client.DialContext(ctx, options); err != nil {
			return true, fmt.Errorf("dial: %w", err)
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	c.add(func(context.Context) error { tc.Close(); return nil })
	return tc, nil
}

// patiently tries until it works, ctx ends, or the failure is not one that time
// may cure: the parts of a deployment come up in any order.
func patiently(ctx context.Context, logger *slog.Logger, part string, try func(context.Context) (temporary bool, err error)) error {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		temporary, err := try(attempt)
		cancel()
		if err == nil || !temporary {
			return err
		}
		logger.Warn("worker.waiting", "for", part, "error", err)
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for %s: %w", part, ctx.Err()), err)
		case <-ticker.C:
		}
	}
}
