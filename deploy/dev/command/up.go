package command

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
	"mailroom/deploy/dev/tour"
	"mailroom/shared/config"
)

// defaultConfig is the development configuration, relative to the repository's root.
const defaultConfig = "deploy/dev/mailroom.yaml"

// up starts the services that are not running and prints their addresses.
func up(ctx context.Context, p place, config string, out io.Writer) (*stack.Stack, tour.Operator, error) {
	var who tour.Operator
	console := process.NewConsole(out)
	unlock, err := lock(ctx, p, console)
	if err != nil {
		return nil, who, err
	}
	defer unlock()

	config, file, err := p.config(config)
	if err != nil {
		return nil, who, err
	}
	who = tour.OperatorOf(file)
	if p.composeEnv {
		console.Say("NOTE: .env sets %s, so it is made for Compose: the local stack leaves it alone", stack.ComposeVariable)
	}

	made, err := p.scannerConfig(config, file, scanningHere(), console)
	if err != nil {
		return nil, who, err
	}
	options, err := p.options(ctx, made.path, console)
	if err != nil {
		return nil, who, err
	}
	s, err := stack.New(options)
	if err != nil {
		return nil, who, err
	}

	if err := s.UseConfig(config); err != nil {
		return nil, who, err
	}
	if err := made.write(); err != nil {
		return nil, who, err
	}
	console.Say("Mailroom's local stack (logs in %s):", p.show(filepath.Join(p.dir, "log")))
	if err := s.Up(ctx); err != nil {
		return nil, who, err
	}
	tour.Addresses(out, s, p.vars, who)
	return s, who, nil
}

// lock prevents two commands from changing the same stack concurrently.
func lock(ctx context.Context, p place, console *process.Console) (unlock func(), err error) {
	return process.Lock(ctx, filepath.Join(p.dir, "lock"), "another up or down of this stack", console)
}

// config returns the absolute path of the configuration file, of which every
// reference resolves, and what it says.
func (p place) config(path string) (string, *config.File, error) {
	switch {
	case path != "":
	case p.vars.Get("MAILROOM_CONFIG") != "":
		path = p.vars.Get("MAILROOM_CONFIG")
	default:
		path = filepath.Join(p.root, defaultConfig)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", nil, fmt.Errorf("find the configuration: %w", err)
	}
	file, err := checkConfig(path, p.vars.Get)
	if err != nil {
		return "", nil, fmt.Errorf("the configuration %s cannot be used: %w", p.show(path), err)
	}
	return path, file, nil
}

func (p place) options(ctx context.Context, config string, console *process.Console) (stack.Options, error) {
	options := stack.Options{
		Dir: p.dir, Bin: filepath.Join(p.dir, "bin"), Tools: filepath.Join(p.dir, "tools"), Root: p.root,
		Services: stack.Everything(), Ports: stack.DevPorts(),
		Config: config, Vars: p.vars, Console: console,
	}
	if url := p.vars.Get("DATABASE_URL"); url != "" {
		if err := stack.CheckDatabase(ctx, url); err != nil {
			return stack.Options{}, err
		}
		options.Infra.DatabaseURL = url
		options.Services = without(options.Services, stack.Postgres)
	}
	if stack.FindClamd() == "" {
		options.Services = without(options.Services, stack.Clamd)
	}
	return options, nil
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return n == name })
}

func down(ctx context.Context, p place, clean bool, out io.Writer) error {
	console := process.NewConsole(out)
	unlock, err := lock(ctx, p, console)
	if err != nil {
		return err
	}
	defer unlock()
	return stop(ctx, p, clean, console)
}

func stop(ctx context.Context, p place, clean bool, console *process.Console) error {
	ctx = context.WithoutCancel(ctx)
	s, err := stack.New(stack.Options{Dir: p.dir, Console: console})
	if err != nil {
		return err
	}
	if err := sweepLeft(ctx, p, console); err != nil {
		return err
	}

	names, err := s.Down(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		console.Say("nothing of this stack ran")
	} else {
		console.Say("stopped: %s", strings.Join(names, ", "))
	}
	if !clean {
		return nil
	}
	if err := s.Forget(); err != nil {
		return err
	}
	console.Say("forgot its data")
	return nil
}

// dev starts the stack, runs the tour and follows the logs until it is interrupted.
func dev(ctx context.Context, p place, config string, out io.Writer) error {
	ctx, cancel := whileParent(ctx)
	defer cancel()
	s, who, err := up(ctx, p, config, out)
	if err != nil {
		return err
	}
	tour.Run(ctx, s, who, out)
	_, _ = fmt.Fprintln(out)
	return down(context.WithoutCancel(ctx), p, false, out)
}

func status(ctx context.Context, p place, out io.Writer) (int, error) {
	options := stack.Options{
		Dir: p.dir, Services: stack.Everything(), Ports: stack.DevPorts(), Vars: p.vars,
	}
	if url := p.vars.Get("DATABASE_URL"); url != "" {
		options.Infra.DatabaseURL = url
		options.Services = without(options.Services, stack.Postgres)
	}
	if stack.FindClamd() == "" {
		options.Services = without(options.Services, stack.Clamd)
	}

	s, err := stack.New(options)
	if err != nil {
		return exitFailed, err
	}
	code := exitDone
	for _, health := range s.Status(ctx) {
		_, _ = fmt.Fprintf(out, "  %-11s %-12s %s\n", health.Name, health.State(), health.Detail())
		if !health.Ready() {
			code = exitFailed
		}
	}
	return code, nil
}

// show returns a path relative to the repository's root if it is below it, else unchanged.
func (p place) show(path string) string {
	if relative, err := filepath.Rel(p.root, path); err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return path
}
