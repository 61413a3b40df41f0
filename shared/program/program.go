// Package program is what the roles of the server have in common from start to end:
// it opens the dependencies of a role, waits for those that do not answer yet, runs
// work in the background, and closes everything in the reverse order.
//
// Invariants: the parts of a deployment may start in any order, so an unavailable
// dependency is waited for and a mistake, such as a pending migration, is an error at
// once; each closer has its own timeout, and every one runs whatever the others return.
package program

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

	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
	"mailroom/shared/secret"
	"mailroom/shared/telemetry"
	"mailroom/shared/temporal"
)

// CloseTimeout bounds each closer.
const CloseTimeout = 5 * time.Second

// Config is what a role is started with. All of it is required but Sockets and Serving.
type Config struct {
	Env     config.Env
	File    *config.File
	Secrets *secret.Store // what File was resolved with; the caller keeps it fresh
	Logger  *slog.Logger
	Sockets Listener // nil: sockets that end with their listener
	Serving func()   // called once, when the role does its work; may be nil
}

// Program is one role from its start to its end. It is used by one goroutine.
type Program struct {
	Config
	Registry *prometheus.Registry
	Keys     seal.Keyring // of File.Encryption

	closers []func(context.Context) error
}

// New prepares a role: its metrics registry and its encryption keys. The caller calls
// Close, also after a later step has failed.
func New(c Config) (*Program, error) {
	p := &Program{Config: c, Registry: telemetry.NewRegistry()}
	if p.Sockets == nil {
		p.Sockets = ownSockets{}
	}
	if p.Serving == nil {
		p.Serving = func() {}
	}
	if err := p.Register(secret.NewCollector(c.Secrets)); err != nil {
		return nil, err
	}

	keys, err := seal.New(c.File.Encryption)
	if err != nil {
		return nil, fmt.Errorf("configuration: encryption: %w", err)
	}
	if keys.Empty() {
		c.Logger.Warn("encryption.off", "detail", "encryption.keys is empty: payloads in Temporal, "+
			"and mail in them while the database is unavailable, are not encrypted")
	}
	p.Keys = keys
	return p, nil
}

// Register adds metrics to the registry.
func (p *Program) Register(collectors ...prometheus.Collector) error {
	for _, c := range collectors {
		if err := p.Registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// ServeMetrics serves /metrics and /readyz until Close. It returns once the port is
// bound.
func (p *Program) ServeMetrics(ctx context.Context, ready http.Handler) error {
	ln, err := p.Sockets.Listen(ctx, p.Env.MetricsListen)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	p.OnClose(telemetry.ServeMetrics(ln, p.Registry, p.Logger, ready))
	return nil
}

// OpenDatabase makes a pool of connections and connects to nothing yet.
func (p *Program) OpenDatabase(ctx context.Context, c postgres.Config) (*postgres.DB, error) {
	db, err := postgres.Open(ctx, p.Env.DatabaseURL.Reveal(), c)
	if err != nil {
		return nil, err
	}
	p.OnClose(func(context.Context) error { db.Close(); return nil })
	return db, nil
}

// OpenObjectStore makes a client and connects to nothing yet.
func (p *Program) OpenObjectStore() (*blob.Store, error) {
	return blob.New(blob.Config{
		Endpoint: p.Env.S3Endpoint, PublicEndpoint: p.Env.S3Public, Region: p.Env.S3Region,
		AccessKey: p.Env.S3AccessKey, SecretKey: p.Env.S3SecretKey,
		RawBucket: p.Env.RawBucket, AttachmentsBucket: p.Env.AttachmentsBucket,
	})
}

// TemporalOptions returns what to connect to Temporal with: encryption by the keys,
// metrics in the registry. It is called once.
func (p *Program) TemporalOptions() (client.Options, error) {
	metrics, stop, err := telemetry.TemporalMetrics(p.Registry, p.Logger)
	if err != nil {
		return client.Options{}, err
	}
	p.OnClose(stop)
	return temporal.Options(p.Logger, metrics, p.Keys)
}

// OnClose adds a closer, which Close runs before those that were added earlier.
func (p *Program) OnClose(f func(context.Context) error) { p.closers = append(p.closers, f) }

// Background runs f until ctx is done or Close, which waits for its end.
func (p *Program) Background(ctx context.Context, f func(context.Context)) {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	p.OnClose(func(context.Context) error {
		stop()
		<-done
		return nil
	})
}

// Close runs every closer, the last one first, and returns their errors.
func (p *Program) Close() error {
	var errs []error
	for _, f := range slices.Backward(p.closers) {
		ctx, cancel := context.WithTimeout(context.Background(), CloseTimeout)
		errs = append(errs, f(ctx))
		cancel()
	}
	p.closers = nil
	return errors.Join(errs...)
}
