package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"mailroom/shared/build"
	"mailroom/shared/config"
	"mailroom/shared/program"
	"mailroom/shared/secret"
	"mailroom/shared/telemetry"
)

// runner runs servers, one generation after the other. A new generation, with a new
// configuration, starts beside the one that runs, on the same sockets; that one ends when
// the new one serves, and goes on if the new one fails.
type runner struct {
	p       *process
	servers []server
	env     config.Env
	secrets *secret.Store
	sockets *program.Sockets
	logger  *slog.Logger
}

// generation is one run of the servers.
type generation struct {
	file      *config.File
	listening *program.Listening
	stop      context.CancelFunc
	serving   chan struct{} // closed when every server serves
	ended     chan struct{} // closed when every server has ended; err is set before
	err       error
}

// run serves until ctx is done, another process has taken over, or a server fails.
func (r *runner) run(ctx context.Context, file *config.File) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(ctx, r.sockets.Close)()

	var before *program.Predecessor
	if r.env.Handover != "" {
		var err error
		if before, err = r.sockets.TakeOver(ctx, r.env.Handover); err != nil {
			return err
		}
		defer before.Close() //nolint:errcheck // it has been replaced, or goes on
	}

	now := r.start(ctx, file)
	serving := now.serving
	for {
		select {
		case <-now.ended:
			return now.err
		case <-serving:
			serving = nil
			if err := r.succeed(ctx, before, stop); err != nil {
				r.logger.Warn("handover.incomplete", "error", err)
			}
			r.sockets.Retain(now.listening)
		case <-r.p.reload:
			now = r.reload(ctx, now)
		}
	}
}

// succeed replaces the process before, and then offers the sockets to the next one.
func (r *runner) succeed(ctx context.Context, before *program.Predecessor, stop func()) error {
	if r.env.Handover == "" {
		return nil
	}
	return errors.Join(before.Replace(), r.sockets.Offer(ctx, r.env.Handover, stop, r.logger))
}

// start starts every server with a configuration.
func (r *runner) start(ctx context.Context, file *config.File) *generation {
	ctx, stop := context.WithCancel(ctx)
	g := &generation{
		file: file, listening: r.sockets.Run(), stop: stop, serving: make(chan struct{}), ended: make(chan struct{}),
	}
	group, ctx := errgroup.WithContext(ctx)
	var starting atomic.Int64
	starting.Store(int64(len(r.servers)))

	for _, s := range r.servers {
		serving := sync.OnceFunc(func() {
			if starting.Add(-1) == 0 {
				close(g.serving)
			}
		})
		group.Go(func() error { return r.serve(ctx, s, g, serving) })
	}
	go func() {
		g.err = group.Wait()
		stop()
		close(g.ended)
	}()
	return g
}

// serve runs one server of a generation.
func (r *runner) serve(ctx context.Context, s server, g *generation, serving func()) error {
	env, name := r.env, s.role.String()
	if s.role == config.RoleWorker && rolesOf(r.servers) != config.RoleWorker {
		env.MetricsListen = env.WorkerMetricsListen
	}
	logger := telemetry.NewLogger(r.p.stderr, env.LogLevel, name)
	logger.Info(name+".starting", build.Read().Attrs()...)

	err := s.run(ctx, program.Config{
		Env: env, File: g.file, Secrets: r.secrets, Logger: logger, Sockets: g.listening, Serving: serving,
	})
	// A stop that ends the wait for a dependency is no failure.
	if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		return fmt.Errorf("%s: %w", name, err)
	}
	logger.Info(name + ".stopped")
	return nil
}

// reload returns the generation that runs from now on: one with the file as it is now, or
// the same where the file cannot be used or has not changed.
func (r *runner) reload(ctx context.Context, now *generation) *generation {
	next, changed, err := r.replace(ctx, now)
	if err != nil {
		r.logger.Error("config.refused", "file", r.env.ConfigPath, "error", err,
			"detail", "the configuration before goes on; variables of the environment are read again by a restart alone")
		return now
	}
	if next == now {
		r.logger.Info("config.unchanged", "file", r.env.ConfigPath)
		return now
	}

	now.stop()
	<-now.ended
	if now.err != nil {
		r.logger.Warn("config.ended_badly", "error", now.err)
	}
	r.sockets.Retain(next.listening)
	r.secrets.SetGrace(next.file.Secrets.Grace)
	r.logger.Info("config.reloaded", "file", r.env.ConfigPath, "changed", changed)
	return next
}

// replace reads and checks the file, and starts a generation with it beside now.
func (r *runner) replace(ctx context.Context, now *generation) (next *generation, changed []string, err error) {
	file, err := config.LoadWith(ctx, r.env.ConfigPath, rolesOf(r.servers), r.secrets)
	if err != nil {
		return nil, nil, err
	}
	if changed = now.file.Changed(file); len(changed) == 0 {
		return now, nil, nil
	}
	c := program.Config{Env: r.env, File: file, Secrets: r.secrets, Logger: slog.New(slog.DiscardHandler)}
	if err := checkServers(c, r.servers); err != nil {
		return nil, nil, err
	}

	next = r.start(ctx, file)
	select {
	case <-next.serving:
		return next, changed, nil
	case <-next.ended:
		if next.err != nil {
			return nil, nil, next.err
		}
	case <-now.ended:
		next.stop()
		<-next.ended
	}
	return nil, nil, errors.New("the process is ending")
}
