package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"mailroom/ingress/authlog"
	"mailroom/ingress/guard"
	"mailroom/ingress/operator"
	"mailroom/ingress/source"
	"mailroom/ingress/webhook"
	"mailroom/shared/config"
	"mailroom/shared/postgres"
	"mailroom/shared/seal"
	"mailroom/shared/secret"
	"mailroom/shared/telemetry"
)

const (
	closeTimeout = 5 * time.Second
)

// Run is the ingress program: it opens what env names, serves webhooks, the
// operator API and metrics until ctx is done, and closes everything in the reverse
// order. secrets is what file was resolved with; the caller keeps it fresh while Run
// lasts. What is away at the start is looked for while the rest works already; a
// migration that is pending, a port that is taken or a configuration that makes no
// sense is an error.
func Run(ctx context.Context, env config.Env, file *config.File, secrets *secret.Store, logger *slog.Logger) (err error) {
	sources, err := source.Resolve(file)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	var closing closers
	defer func() { err = errors.Join(err, closing.close()) }()

	reg := telemetry.NewRegistry()
	var serving atomic.Pointer[webhook.Server]
	stopMetrics, err := telemetry.ServeMetrics(ctx, env.MetricsListen, reg, logger, map[string]http.Handler{"/readyz": readyOf(&serving)})
	if err != nil {
		return err
	}
	closing.add(stopMetrics)
	keyring, err := seal.New(file.Encryption)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if keyring.Empty() {
		logger.Warn("encryption.off", slog.String("detail", "encryption.keys is empty: what Temporal keeps, "+
			"and mail that it carries while the database is away, is not encrypted"))
	}
	d, err := open(ctx, env, keyring, reg, logger, &closing)
	if err != nil {
		return err
	}
	p, err := newProgram(env, file, sources, secrets, d, reg, logger, &closing)
	if err != nil {
		return err
	}
	serving.Store(p.receiver.server)
	err = d.ledger.check(ctx)
	if err != nil && !away(err) {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if err != nil {
		group.Go(func() error { return d.ledger.await(ctx, logger) })
	}
	group.Go(func() error { d.prepare(ctx, logger); return nil })
	if err := p.listen(ctx, env, group, &closing); err != nil {
		return err
	}
	return group.Wait()
}

// readyOf answers /readyz of the metrics listener, which is not for the public: what
// is away and what waits, once there is a server.
func readyOf(serving *atomic.Pointer[webhook.Server]) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := serving.Load(); s != nil {
			s.ServeReadyDetails(w, r)
			return
		}
		webhook.ServeStarting(w, r)
	})
}

// program is what serves.
type program struct {
	receiver    *receiver
	console     http.Handler
	stopConsole func()
	failures    *authlog.Recorder
	addresses   []address
	registry    prometheus.Registerer
	logger      *slog.Logger
}

// newProgram wires the server and the operator API.
func newProgram(env config.Env, file *config.File, sources []*source.Source, secrets *secret.Store, d dependencies,
	reg prometheus.Registerer, logger *slog.Logger, closing *closers) (*program, error) {
	var err error
	p := &program{logger: logger, registry: reg}
	keys := authlog.NewKeyUse(file.Sources)
	var collectors []prometheus.Collector
	if p.addresses, err = addresses(env, file); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	door := webhook.Config{Sources: sources, SpoolDir: env.SpoolDir, Ingress: file.Ingress}
	if c := file.Ingress.TLS; c.Certificate != "" {
		if door.Certificate, err = guard.OpenCertificate(c, logger); err != nil {
			return nil, fmt.Errorf("configuration: ingress.%w", err)
		}
		door.TLSAddress = env.Listen
		closing.add(func(context.Context) error { return door.Certificate.Close() })
		collectors = append(collectors, newCertificateMetrics(door.Certificate))
	}
	if p.failures, err = authlog.New(authlog.Config{Keep: file.Ingress.KeepFailures}, authlog.Deps{Store: postgres.NewAuthFailures(d.reader), Logger: logger}); err != nil {
		return nil, err
	}
	collectors = append(collectors, keys, secret.NewCollector(secrets))
	for _, c := range collectors {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	if p.receiver, err = newReceiver(door, d, p.failures, keys, reg, logger); err != nil {
		return nil, err
	}
	server := p.receiver.server
	listener, err := operator.New(file, operator.Deps{
		Ledger: d.reader, Logins: d.logins, Blobs: d.bodies, Temporal: d.temporal, Keys: d.keys, Secrets: secrets, KeyUse: keys,
		AckSeconds: server.AckSeconds(), Ready: server.ServeReadyDetails, Registry: reg, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	p.stopConsole = listener.Close
	p.console = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.NoteProxy(r)
		listener.ServeHTTP(w, r)
	})
	return p, nil
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
