package main

import (
	"context"
	"errors"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"mailroom/ingress"
	"mailroom/shared/config"
	"mailroom/shared/program"
	"mailroom/shared/secret"
	"mailroom/shared/telemetry"
	"mailroom/worker"
)

// server is one role: run returns when ctx is done, or with the reason why it cannot
// go on.
type server struct {
	role config.Role
	run  func(context.Context, program.Config) error
	// check returns why run would refuse its configuration.
	check func(program.Config) error
	// memory is the size in bytes above which the runtime collects garbage eagerly. A
	// process that runs several roles has the sum of theirs; GOMEMLIMIT overrides it.
	memory int64
	gc     int // percentage for the runtime, 0 for its default; GOGC overrides it
}

func ingressServer() server {
	return server{role: config.RoleIngress, run: ingress.Run, check: ingress.Check, memory: 160 << 20}
}

// workerServer lets the small heap of a quiet worker grow to three times itself before
// it is collected.
func workerServer() server {
	return server{role: config.RoleWorker, run: worker.Run, check: worker.Check, memory: 448 << 20, gc: 200}
}

// roleFlags are those of every role.
type roleFlags struct {
	Check  bool   `help:"Check environment and configuration as at start, resolve the secrets of the role, and exit. Needs no other service."`
	Output string `short:"o" enum:"text,json" default:"text" help:"How --check prints: text or json."`
}

// run serves, or checks.
func (f roleFlags) run(ctx context.Context, p *process, servers ...server) error {
	if f.Check {
		return p.check(ctx, f.Output == "json", servers...)
	}
	if f.Output == "json" {
		return usageError{"--output goes with --check"}
	}
	return p.serve(ctx, servers...)
}

type ingressCommand struct{ roleFlags }

// Run serves webhooks and operators until ctx is done.
func (c ingressCommand) Run(ctx context.Context, p *process) error {
	return c.run(ctx, p, ingressServer())
}

type workerCommand struct{ roleFlags }

// Run processes emails until ctx is done.
func (c workerCommand) Run(ctx context.Context, p *process) error {
	return c.run(ctx, p, workerServer())
}

type allCommand struct{ roleFlags }

// Run does what ingress and worker do until ctx is done.
func (c allCommand) Run(ctx context.Context, p *process) error {
	return c.run(ctx, p, ingressServer(), workerServer())
}

// serve runs the servers until ctx is done or one of them fails, which stops the others and
// is returned. It reads the configuration again when asked to (see runner).
func (p *process) serve(ctx context.Context, servers ...server) (err error) {
	roles := rolesOf(servers)
	env, err := config.ReadEnv(p.getenv, roles)
	if err != nil {
		return err
	}
	p.tuneRuntime(servers)

	logger := telemetry.NewLogger(p.stderr, env.LogLevel, roles.String())
	secrets := secret.Open(p.getenv, logger)
	file, err := config.LoadWith(ctx, env.ConfigPath, roles, secrets)
	if err != nil {
		return err
	}
	secrets.SetGrace(file.Secrets.Grace)

	// Secrets stay fresh while the servers finish what they have begun.
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var watch errgroup.Group
	watch.Go(func() error { return secrets.Watch(watching) })
	defer func() {
		stop()
		err = errors.Join(err, watch.Wait())
	}()

	r := &runner{p: p, servers: servers, env: env, secrets: secrets, sockets: program.NewSockets(), logger: logger}
	return r.run(ctx, file)
}

func rolesOf(servers []server) (roles config.Role) {
	for _, s := range servers {
		roles |= s.role
	}
	return roles
}

func (p *process) tuneRuntime(servers []server) {
	var memory int64
	gc := 0
	for _, s := range servers {
		memory += s.memory
		gc = max(gc, s.gc)
	}

	if p.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory)
	}
	if p.getenv("GOGC") == "" && gc > 0 {
		debug.SetGCPercent(gc)
	}
}
