package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"mailroom/ingress/guard"
	"mailroom/ingress/webhook"
	"mailroom/shared/config"
	"mailroom/shared/program"
)

// Bounds of the operator listener; operatorWrite bounds a download.
const (
	operatorRead   = 10 * time.Second
	operatorWrite  = 5 * time.Minute
	operatorIdle   = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// listen opens every address and serves it in the group.
func (l *listeners) listen(ctx context.Context, p *program.Program, group *errgroup.Group) error {
	var public []webhook.Listener
	var limits []*guard.LimitedListener
	for _, at := range l.addresses {
		ln, err := listen(ctx, p, at.address)
		if err != nil {
			return err
		}
		limited := l.receiver.server.LimitListener(ln)
		limits = append(limits, limited)
		public = append(public, webhook.Listener{Listener: limited, TLS: at.tls})
		p.Logger.Info("ingress.listening", slog.String("address", ln.Addr().String()), slog.Bool("tls", at.tls))
	}
	if err := p.Register(newConnectionMetrics(limits)); err != nil {
		return err
	}

	own, err := listen(ctx, p, p.Env.OperatorListen)
	if err != nil {
		return err
	}
	p.Logger.Info("operator.listening", slog.String("address", own.Addr().String()))
	// What fails or verifies while requests in flight finish is kept too.
	recording, stop := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { l.failures.Run(recording); return nil })
	group.Go(func() error { l.keys.Run(recording, l.uses, p.Logger); return nil })
	group.Go(func() error { defer stop(); return l.receiver.serve(ctx, public...) })
	group.Go(func() error { return serveOperator(ctx, own, l, l.operators.Close, p.Logger) })
	return nil
}

// address is one that the public listener is on.
type address struct {
	address string
	tls     bool
}

// addresses returns the addresses of the public listener. A source without signatures is
// for loopback alone.
func addresses(env config.Env, file *config.File) ([]address, error) {
	c := file.Ingress.TLS
	out := []address{{address: env.Listen, tls: c.Certificate != ""}}
	if c.PlainListen != "" {
		out = append(out, address{address: c.PlainListen})
	}
	for _, src := range file.Sources {
		for _, at := range out {
			if src.Insecure && !loopback(at.address) {
				return nil, fmt.Errorf("source %s is insecure: any caller may post to it, which is for loopback addresses alone, not %s",
					src.Name, at.address)
			}
		}
	}
	return out, nil
}

func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func listen(ctx context.Context, p *program.Program, address string) (net.Listener, error) {
	ln, err := p.Sockets.Listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p.OnClose(func(context.Context) error {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("close listener: %w", err)
		}
		return nil
	})
	return ln, nil
}

// serveOperator serves the operator listener until ctx is done. stop ends what would
// not end by itself.
func serveOperator(ctx context.Context, ln net.Listener, handler http.Handler, stop func(), logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: operatorRead,
		ReadTimeout:       operatorRead,
		WriteTimeout:      operatorWrite,
		IdleTimeout:       operatorIdle,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(stop)

	drainer := guard.NewDrainer(server)
	failed := make(chan error, 1)
	go func() { failed <- drainer.Serve(ln, false) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve operator api: %w", err)
	case <-ctx.Done():
	}

	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), program.CloseTimeout)
	defer cancel()
	if err := drainer.Shutdown(limit); err != nil {
		_ = server.Close() // a download that does not end is cut
	}
	return nil
}
