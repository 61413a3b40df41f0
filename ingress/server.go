package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"mailroom/ingress/source"
	"mailroom/shared/blob"
	"mailroom/shared/fault"
)

// Bounds of the HTTP server. A large body on a slow line has readTimeout; what
// follows the body has ackTimeout.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 2 * time.Minute
	writeTimeout      = readTimeout + 30*time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	ackTimeout        = 5 * time.Second
	shutdownTimeout   = 20 * time.Second
	maxInFlight       = 1024
	maxUploads        = 4
)

// Bodies keeps bodies that are too large for a row. Writing the same key again
// with the same bytes is harmless.
type Bodies interface {
	Put(ctx context.Context, bucket blob.Bucket, key string, r io.Reader, size int64, contentType string) error
}

// Config says which sources there are and where large bodies are spooled.
type Config struct {
	Sources  []*source.Source
	SpoolDir string // empty: the system's temporary folder
}

// Deps is what the server needs; all but Now and Optional are required, and all
// stay the caller's to close.
type Deps struct {
	Ledger    Ledger
	Inbox     Inbox
	Meter     InboxMeter
	Bodies    Bodies
	Workflows Workflows
	Registry  prometheus.Registerer
	Logger    *slog.Logger
	// Required must pass for the server to be ready, Optional is only told of.
	Required map[string]Check
	Optional map[string]Check
	Now      func() time.Time // nil: time.Now
}

func (d Deps) validate() error {
	var missing []error
	for name, absent := range map[string]bool{
		"Ledger": d.Ledger == nil, "Inbox": d.Inbox == nil, "Meter": d.Meter == nil, "Bodies": d.Bodies == nil,
		"Workflows": d.Workflows == nil, "Registry": d.Registry == nil, "Logger": d.Logger == nil,
		"Required": len(d.Required) == 0,
	} {
		if absent {
			missing = append(missing, fmt.Errorf("%s is missing", name))
		}
	}
	return errors.Join(missing...)
}

// Server is the door. It is made once, serves once, and is done.
type Server struct {
	engine   *gin.Engine
	logger   *slog.Logger
	metrics  *metrics
	refusals *refusals
	health   *health
	intake   *intake
	bodies   Bodies
	requests slots
	uploads  chan struct{}
	acceptor *acceptor
	starter  *starter
	now      func() time.Time
	// chunkTime is how long a chunk of a body may take.
	chunkTime time.Duration
}

// New makes a server. Nothing runs before Serve.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := deps.validate(); err != nil {
		return nil, fmt.Errorf("ingress: %w", err)
	}
	if len(cfg.Sources) == 0 {
		return nil, errors.New("ingress: no source is configured")
	}
	m, err := newMetrics(deps.Registry)
	if err != nil {
		return nil, fmt.Errorf("ingress: %w", err)
	}
	now := deps.Now
	if now == nil {
		now = time.Now
	}
	s := &Server{
		logger: deps.Logger, metrics: m, refusals: newRefusals(deps.Logger, now),
		health: &health{
			required: deps.Required, optional: deps.Optional, inbox: deps.Meter, metrics: m, now: now,
		},
		intake: newIntake(cfg.SpoolDir), bodies: deps.Bodies,
		requests: make(slots, maxInFlight), uploads: make(chan struct{}, maxUploads), now: now,
		chunkTime: chunkTime,
	}
	s.starter = newStarter(deps.Inbox, deps.Workflows, m, deps.Logger, now)
	s.acceptor = newAcceptor(deps.Ledger, s.starter, now)
	s.starter.crowded = s.acceptor.crowdedLately
	if err := s.route(cfg.Sources); err != nil {
		return nil, fmt.Errorf("ingress: %w", err)
	}
	return s, nil
}

// route builds the engine. Handlers get request and writer and never the gin
// context, which gin reuses.
func (s *Server) route(sources []*source.Source) error {
	gin.SetMode(gin.ReleaseMode)
	s.engine = gin.New()
	if err := s.engine.SetTrustedProxies(nil); err != nil {
		return fmt.Errorf("trust no proxy: %w", err)
	}
	s.engine.HandleMethodNotAllowed = true
	s.engine.RedirectTrailingSlash = false
	s.engine.Use(s.observe, s.recover)
	s.engine.NoRoute(func(c *gin.Context) {
		s.reject(c.Writer, c.Request, nil, fault.New(fault.NotFound, "there is nothing at this path"))
	})
	s.engine.NoMethod(func(c *gin.Context) {
		s.reject(c.Writer, c.Request, nil, fault.New(fault.MethodNotAllowed, "this path does not take this method"))
	})
	s.engine.GET("/healthz", func(c *gin.Context) { s.health.live(c.Writer, c.Request) })
	s.engine.GET("/readyz", func(c *gin.Context) { s.health.ready(c.Writer, c.Request) })
	taken := map[string]bool{"/healthz": true, "/readyz": true}
	for _, src := range sources {
		if taken[src.Path] {
			return fmt.Errorf("source %s: path %s is taken", src.Name, src.Path)
		}
		taken[src.Path] = true
		s.metrics.introduce(src.Name)
		s.engine.POST(src.Path, func(c *gin.Context) { s.receive(c.Writer, c.Request, src) })
	}
	return nil
}

// Serve takes requests on ln until ctx is done, then stops: not ready any more,
// requests in flight finish, what they accepted is committed, starts in flight
// finish and the other claims go back. It closes ln and returns when nothing of
// the server runs any more.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           s.engine,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// net/http writes here what it thinks of single requests.
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	s.acceptor.start()
	s.starter.start()
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var meter sync.WaitGroup
	meter.Go(func() { s.health.measure(background) })

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.health.stopping.Store(true)
	limit, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer done()
	if stopErr := server.Shutdown(limit); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("finish requests in flight: %w", stopErr), server.Close())
	}
	s.acceptor.stop()
	s.starter.stop()
	cancel()
	meter.Wait()
	return err
}

// observe counts every request, whatever becomes of it.
func (s *Server) observe(c *gin.Context) {
	began := s.now()
	c.Header(correlationHeader, correlationID(c.Request.Header))
	defer func() {
		route := c.FullPath()
		if route == "" {
			route = "none"
		}
		status := c.Writer.Status()
		s.metrics.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
		if status < http.StatusMultipleChoices && c.Request.Method == http.MethodPost {
			s.metrics.ackSeconds.Observe(s.now().Sub(began).Seconds())
		}
	}()
	c.Next()
}

// recover answers for a handler that panicked. What it panicked with may hold mail
// content, so that only its type and the place are logged.
func (s *Server) recover(c *gin.Context) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares the same way
			panic(p)
		}
		s.logger.Error("ingress.panic", slog.String("route", c.FullPath()),
			slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
		if c.Writer.Written() {
			panic(http.ErrAbortHandler) // the answer is torn: the sender must see that
		}
		s.reject(c.Writer, c.Request, nil, fault.New(fault.Internal, "something went wrong inside Mailroom"))
	}()
	c.Next()
}
