package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"mailroom/ingress/operator"
	"mailroom/ingress/source"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
	"mailroom/shared/telemetry"
	"mailroom/shared/temporal"
)

const (
	// memoryLimit is where the runtime begins to collect eagerly; GOMEMLIMIT wins.
	memoryLimit = 160 << 20
	// The operator API has connections of its own, so that a slow question there
	// never keeps an event waiting.
	acceptConns   = 8
	operatorConns = 4
	startUpPause  = time.Second
	bucketTimeout = 5 * time.Second
	closeTimeout  = 5 * time.Second
	// operatorWrite bounds a download by an operator.
	operatorWrite = 5 * time.Minute
)

// Run is the ingress program: it opens what env names, serves webhooks, the
// operator API and metrics until ctx is done, and closes everything in the reverse
// order. A database or a Temporal that is away is waited for; a migration that is
// pending, a port that is taken or a configuration that makes no sense is an error.
func Run(ctx context.Context, env config.Env, file *config.File, logger *slog.Logger) (err error) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	sources, err := source.Resolve(file)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	var closing closers
	defer func() { err = errors.Join(err, closing.close()) }()

	reg := telemetry.NewRegistry()
	stopMetrics, err := telemetry.ServeMetrics(ctx, env.MetricsListen, reg, logger, nil)
	if err != nil {
		return err
	}
	closing.add(stopMetrics)
	d, err := open(ctx, env, reg, logger, &closing)
	if err != nil {
		return err
	}
	server, err := New(Config{Sources: sources, SpoolDir: env.SpoolDir}, Deps{
		Ledger: d.ledger, Inbox: d.ledger, Meter: d.ledger, Bodies: d.bodies, Workflows: d.temporal,
		Registry: reg, Logger: logger,
		Required: map[string]Check{"postgres": d.ledger.Ping, "blob": d.bodies.Ready},
		Optional: map[string]Check{"temporal": d.temporalHealth},
	})
	if err != nil {
		return err
	}
	console, err := operator.New(operator.Config{Operators: file.Operators}, operator.Deps{
		Reader: d.reader, Blobs: d.bodies, Decider: operator.NewTemporalDecider(d.temporal), Logger: logger,
	})
	if err != nil {
		return err
	}
	if err := d.ready(ctx, logger); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	listener, err := listen(ctx, &closing, env.Listen)
	if err != nil {
		return err
	}
	operatorListener, err := listen(ctx, &closing, env.OperatorListen)
	if err != nil {
		return err
	}
	logger.Info("ingress.listening", slog.String("address", listener.Addr().String()),
		slog.String("operator", operatorListener.Addr().String()))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, listener) })
	group.Go(func() error { return serveOperator(ctx, operatorListener, console, logger) })
	return group.Wait()
}

// dependencies are what the server works with. Closing them is Run's business.
type dependencies struct {
	ledger   *postgres.DB
	reader   *postgres.DB
	bodies   *blob.Store
	temporal client.Client
}

// open makes the clients; it connects to nothing that it would have to wait for.
func open(ctx context.Context, env config.Env, reg prometheus.Registerer, logger *slog.Logger, closing *closers,
) (dependencies, error) {
	var (
		d   dependencies
		err error
	)
	handler, stop, err := telemetry.TemporalMetrics(reg, logger)
	if err != nil {
		return d, err
	}
	closing.add(stop)
	if d.ledger, err = postgres.Open(ctx, env.DatabaseURL.Reveal(), postgres.Config{MaxConns: acceptConns}); err != nil {
		return d, err
	}
	closing.addPlain(d.ledger.Close)
	if d.reader, err = postgres.Open(ctx, env.DatabaseURL.Reveal(), postgres.Config{MaxConns: operatorConns}); err != nil {
		return d, err
	}
	closing.addPlain(d.reader.Close)
	d.bodies, err = blob.New(blob.Config{
		Endpoint: env.S3Endpoint, PublicEndpoint: env.S3Public, Region: env.S3Region,
		AccessKey: env.S3AccessKey, SecretKey: env.S3SecretKey,
		RawBucket: env.RawBucket, AttachmentsBucket: env.AttachmentsBucket,
	})
	if err != nil {
		return d, err
	}
	options, err := temporal.Options(logger, handler)
	if err != nil {
		return d, err
	}
	if d.temporal, err = client.NewLazyClient(options); err != nil {
		return d, fmt.Errorf("make temporal client: %w", err)
	}
	closing.addPlain(d.temporal.Close)
	return d, nil
}

// ready waits for the database and refuses one that is not migrated. Missing
// buckets are made where that is allowed; /readyz tells where it is not.
func (d dependencies) ready(ctx context.Context, logger *slog.Logger) error {
	for told := false; ; told = true {
		err := d.ledger.Pending(ctx)
		if err == nil {
			break
		}
		if !fault.Is(err, fault.StorageUnavailable) {
			return err
		}
		if !told {
			logger.Warn("ingress.waits_for_database", slog.Any("error", err))
		}
		select {
		case <-time.After(startUpPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, bucketTimeout)
	defer cancel()
	if err := d.bodies.EnsureBuckets(ctx); err != nil {
		logger.Warn("ingress.buckets", slog.Any("error", err))
	}
	return nil
}

func (d dependencies) temporalHealth(ctx context.Context) error {
	if _, err := d.temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("check temporal: %w", err)
	}
	return nil
}

func listen(ctx context.Context, closing *closers, address string) (net.Listener, error) {
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	closing.add(func(context.Context) error {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("close listener: %w", err)
		}
		return nil
	})
	return ln, nil
}

// serveOperator serves the operator API until ctx is done.
func serveOperator(ctx context.Context, ln net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readHeaderTimeout,
		WriteTimeout:      operatorWrite,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve operator api: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		_ = server.Close() // a download that does not end is cut
	}
	return nil
}

// closers is what has been opened, closed in the reverse order.
type closers []func(context.Context) error

func (c *closers) add(f func(context.Context) error) { *c = append(*c, f) }

func (c *closers) addPlain(f func()) {
	c.add(func(context.Context) error { f(); return nil })
}

// close gives every step closeTimeout and goes on whatever a step says.
func (c *closers) close() error {
	var errs []error
	for i := len(*c) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		errs = append(errs, (*c)[i](ctx))
		cancel()
	}
	return errors.Join(errs...)
}
