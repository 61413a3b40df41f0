package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"mailroom/ingress"
	"mailroom/shared/config"
	"mailroom/shared/secret"
	"mailroom/shared/telemetry"
	"mailroom/worker"
)

const (
	// Above its memory limit the runtime collects garbage eagerly. A process that
	// runs both roles has the sum of theirs; GOMEMLIMIT overrides it.
	ingressMemory = 160 << 20
	workerMemory  = 448 << 20
	// workerGC lets the small heap of a quiet worker grow to three times itself
	// before it is collected; GOGC overrides it.
	workerGC = 200

	ingressMetrics = "127.0.0.1:9464"
	workerMetrics  = "127.0.0.1:9465"
)

type ingressCommand struct{}

// Run serves webhooks and operators until ctx is done.
func (ingressCommand) Run(ctx context.Context, p *process) error {
	env, err := config.ReadEnv(p.getenv, ingressMetrics)
	if err != nil {
		return err
	}
	p.limitMemory(ingressMemory)
	return p.serve(ctx, "ingress", role{"ingress", ingress.Run, env})
}

type workerCommand struct{}

// Run processes emails until ctx is done.
func (workerCommand) Run(ctx context.Context, p *process) error {
	env, err := config.ReadEnv(p.getenv, workerMetrics)
	if err != nil {
		return err
	}
	p.limitMemory(workerMemory)
	p.setGC(workerGC)
	return p.serve(ctx, "worker", role{"worker", worker.Run, env})
}

type allCommand struct{}

// Run does what ingress and worker do until ctx is done.
func (allCommand) Run(ctx context.Context, p *process) error {
	env, err := config.ReadEnv(p.getenv, ingressMetrics)
	if err != nil {
		return err
	}
	ofWorker := env
	ofWorker.MetricsListen = env.WorkerMetricsListen

	p.limitMemory(ingressMemory + workerMemory)
	p.setGC(workerGC)
	return p.serve(ctx, "all", role{"ingress", ingress.Run, env}, role{"worker", worker.Run, ofWorker})
}

// role is a part of the server that runs until ctx is done.
type role struct {
	name string
	run  func(ctx context.Context, env config.Env, file *config.File, secrets *secret.Store, logger *slog.Logger) error
	env  config.Env
}

// serve runs the roles on one configuration until ctx is done or one of them ends
// with an error, which stops the others and is returned. Their environments differ
// in the addresses of their metrics alone.
func (p *process) serve(ctx context.Context, name string, roles ...role) (err error) {
	env := roles[0].env
	logger := telemetry.NewLogger(p.stderr, env.LogLevel, name)
	secrets, err := secret.Open(ctx, secret.Config{Getenv: p.getenv, Logger: logger})
	if err != nil {
		return err
	}
	file, err := config.LoadWith(ctx, env.ConfigPath, secrets)
	if err != nil {
		return err
	}
	secrets.SetGrace(file.Secrets.Grace)

	// Secrets stay fresh while the roles finish what they have begun.
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var watch errgroup.Group
	watch.Go(func() error { return secrets.Watch(watching) })
	defer func() {
		stop()
		err = errors.Join(err, watch.Wait())
	}()

	group, ctx := errgroup.WithContext(ctx)
	for _, r := range roles {
		logger := telemetry.NewLogger(p.stderr, env.LogLevel, r.name)
		logger.Info(r.name+".starting", telemetry.ReadBuild().Attrs()...)
		group.Go(func() error {
			if err := r.run(ctx, r.env, file, secrets, logger); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			logger.Info(r.name + ".stopped")
			return nil
		})
	}
	return group.Wait()
}

func (p *process) limitMemory(bytes int64) {
	if p.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}

func (p *process) setGC(percent int) {
	if p.getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
