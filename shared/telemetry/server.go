package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The bounds of the metrics server. A scrape is small and comes from a machine.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = 2 * time.Minute
	maxHeader    = 16 << 10
	maxScrapes   = 4
)

// ServeMetrics answers GET /metrics on ln with what reg holds, and GET /readyz with
// ready. Everything else is 404; profiles are not offered. The caller runs stop last: it
// lets scrapes in flight finish until its context ends, and may be called more than once.
func ServeMetrics(ln net.Listener, reg *prometheus.Registry, logger *slog.Logger, ready http.Handler) (stop func(context.Context) error) {
	srv := &http.Server{
		Handler:           routes(reg, logger, ready),
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}

	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("metrics.stopped", "error", err)
		}
	}()

	logger.Info("metrics.listening", "address", ln.Addr().String())
	return func(ctx context.Context) error {
		if err := srv.Shutdown(ctx); err != nil {
			_ = srv.Close()
			<-done
			return fmt.Errorf("stop metrics server: %w", err)
		}
		<-done
		return nil
	}
}

func routes(reg *prometheus.Registry, logger *slog.Logger, ready http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		Registry:            reg,
		ErrorLog:            slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             writeTimeout / 2,
	}))
	mux.Handle("GET /readyz", ready)
	return mux
}
