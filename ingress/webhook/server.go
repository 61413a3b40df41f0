package webhook

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"mailroom/ingress/authlog"
	"mailroom/ingress/guard"
	"mailroom/ingress/source"
	"mailroom/shared/config"
	"mailroom/shared/fault"
	"mailroom/shared/postgres"
)

// Bounds of the HTTP server. A large body on a slow line has readTimeout; what
// follows the body has accept.Timeout.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 2 * time.Minute
	writeTimeout      = readTimeout + 30*time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	shutdownTimeout   = 20 * time.Second
	maxInFlight       = 1024
)

// Accepter makes an event durable before it returns.
type Accepter interface {
	Accept(ctx context.Context, row postgres.Acceptance) (postgres.Accepted, error)
}

// Uploader keeps a body that is too large for a row in the object store.
type Uploader interface {
	Upload(ctx context.Context, key string, content *io.SectionReader) error
}

// Starts tells how fast the workflows of accepted events are started.
type Starts interface {
	PerSecond() float64
}

// Audit records failed verifications. Add never blocks.
type Audit interface{ Add(f authlog.Failure) }

// KeyUse remembers which key verified last.
type KeyUse interface {
	RecordUse(source string, key int, at time.Time)
}

// Config has the sources, and where large bodies are spooled.
type Config struct {
	Sources  []*source.Source
	SpoolDir string // empty: the system's temporary folder
	// Ingress is the section of the configuration; its zero value has no bounds but
	// those of the constants here.
	Ingress config.Ingress
	// Certificate is for listeners with TLS, TLSAddress where they are; nil and
	// empty where there are none.
	Certificate *guard.Certificate
	TLSAddress  string
}

// Listener is one address to serve, with TLS or without.
type Listener struct {
	net.Listener
	TLS bool
}

// Deps is what the server needs; all but Optional are required, and the caller closes them.
type Deps struct {
	Accepter Accepter
	Uploader Uploader
	Starts   Starts
	Meter    InboxMeter
	Chain    ChainMeter
	Audit    Audit
	Keys     KeyUse
	Registry prometheus.Registerer
	Logger   *slog.Logger
	// Durable are those of which one is enough to accept an event; Optional are only shown.
	Durable  map[string]Check
	Optional map[string]Check
}

func (d Deps) validate() error {
	var missing []error
	for _, dep := range []struct {
		name   string
		absent bool
	}{
		{"Accepter", d.Accepter == nil}, {"Uploader", d.Uploader == nil}, {"Starts", d.Starts == nil}, {"Meter", d.Meter == nil},
		{"Chain", d.Chain == nil}, {"Audit", d.Audit == nil}, {"Keys", d.Keys == nil}, {"Registry", d.Registry == nil},
		{"Logger", d.Logger == nil}, {"Durable", len(d.Durable) == 0},
	} {
		if dep.absent {
			missing = append(missing, fmt.Errorf("%s is missing", dep.name))
		}
	}
	return errors.Join(missing...)
}

// Server is the public listener. It is made once and serves once.
type Server struct {
	engine   *gin.Engine
	handler  http.Handler // engine, behind what the configuration says about plain HTTP
	tls      *tls.Config
	receiver *receiver
	health   *health
	logger   *slog.Logger
	metrics  *metrics
	// undeclared finds proxies that the configuration does not name.
	undeclared *guard.Undeclared
	now        func() time.Time
}

// New makes a server. Nothing runs before Serve.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := deps.validate(); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if len(cfg.Sources) == 0 {
		return nil, errors.New("webhook: no source is configured")
	}
	m, err := newMetrics(deps.Registry)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}

	proxies, err := guard.NewProxies(cfg.Ingress.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("webhook: trusted_proxies: %w", err)
	}
	known := guard.NewKnown()
	crowd, err := guard.NewCrowd(known, proxies, shares(spoolBound(cfg.Ingress), largestBody(cfg.Sources)), time.Now)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if err := deps.Registry.Register(crowdMetrics{crowd}); err != nil {
		return nil, fmt.Errorf("webhook: register metrics: %w", err)
	}
	undeclared := guard.NewUndeclared(proxies, deps.Logger, time.Now)
	if err := deps.Registry.Register(newUndeclaredMetrics(undeclared)); err != nil {
		return nil, fmt.Errorf("webhook: register metrics: %w", err)
	}

	backpressure := guard.NewBackpressure(cfg.Ingress.Backpressure)
	s := &Server{
		receiver: &receiver{
			logger: deps.Logger, metrics: m, refusals: newRefusals(deps.Logger, time.Now), proxies: proxies,
			throttle: guard.NewThrottle(cfg.Ingress.Throttle, known), crowd: crowd, backpressure: backpressure,
			audit: deps.Audit, keys: deps.Keys, bodies: newBodyReader(cfg.SpoolDir), uploader: deps.Uploader, accepter: deps.Accepter,
			now: time.Now, chunkTime: chunkTime,
		},
		health: &health{
			durable: deps.Durable, optional: deps.Optional, inbox: deps.Meter, chain: deps.Chain, starts: deps.Starts,
			backpressure: backpressure, metrics: m, now: time.Now,
		},
		logger: deps.Logger, metrics: m, undeclared: undeclared, now: time.Now,
	}
	if err := s.buildEngine(cfg.Sources); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if err := s.buildHandler(cfg); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return s, nil
}

// buildHandler puts before the engine what the configuration says about plain HTTP.
func (s *Server) buildHandler(cfg Config) (err error) {
	plain := guard.PlainConfig{
		Mode: cmp.Or(cfg.Ingress.PlainHTTP, "accept"), HSTS: cfg.Ingress.HSTS, Proxies: s.receiver.proxies, TLSAddress: cfg.TLSAddress,
		Refuse: func(w http.ResponseWriter, r *http.Request) {
			s.receiver.rejectRequest(w, r, nil, fault.New(fault.TLSRequired, "this address is for HTTPS"))
		},
	}
	if cfg.Certificate != nil {
		plain.Names, s.tls = cfg.Certificate.Names, cfg.Certificate.Config()
	}
	s.handler, err = guard.Plain(plain, s.engine)
	return err
}

// spoolBound is how many bytes all spool files may take together.
func spoolBound(c config.Ingress) int64 {
	if c.Spool > 0 {
		return int64(c.Spool)
	}
	return math.MaxInt64
}

// largestBody is the largest body that any source takes.
func largestBody(sources []*source.Source) int64 {
	var most int64
	for _, src := range sources {
		most = max(most, src.MaxBody)
	}
	return most
}

// Serve takes requests on the listeners until ctx is done, then stops: not ready
// any more, and requests in flight finish. It closes the listeners and returns when
// nothing of the server runs any more; the accepter may be stopped then.
func (s *Server) Serve(ctx context.Context, listeners ...Listener) error {
	server := &http.Server{
		Handler:   s.handler,
		TLSConfig: s.tls,
		HTTP2:     guard.HTTP2(),
		// "OPTIONS *" is for the engine, which has nothing there.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		// net/http writes here what it thinks of single requests.
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}

	drainer := guard.NewDrainer(server)
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var meter sync.WaitGroup
	meter.Go(func() { s.health.runMeasurements(background) })

	failed := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { failed <- drainer.Serve(ln.Listener, ln.TLS) }()
	}

	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}

	s.health.stopping.Store(true)
	limit, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer done()
	if stopErr := drainer.Shutdown(limit); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("finish requests in flight: %w", stopErr), server.Close())
	}

	cancel()
	meter.Wait()
	return err
}

// LimitListener returns ln with the bounds of the server on connections.
func (s *Server) LimitListener(ln net.Listener) *guard.LimitedListener {
	return guard.LimitListener(ln, s.receiver.crowd)
}

// NoteProxy looks whether r came through a proxy that is not declared.
func (s *Server) NoteProxy(r *http.Request) { s.undeclared.CheckRequest(r) }

// AckSeconds is the histogram of how fast senders were answered.
func (s *Server) AckSeconds() prometheus.Metric { return s.metrics.ackSeconds }
