package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"mailroom/deploy/dev/process"
	"mailroom/deploy/dev/stack"
	"mailroom/deploy/dev/tour"
	"mailroom/shared/config"
)

// samplesFile is the name of the file, in .dev, with what the tour has sent and not seen rest.
const samplesFile = "samples"

// opened is a stack that is about to be started, locked until unlock.
type opened struct {
	*stack.Stack

	who     tour.Operator
	console *process.Console
	unlock  func()
}

// open reads the configuration and returns the stack that runs with it, or that is going to:
// use records it.
func open(ctx context.Context, p place, config string, use func(*stack.Stack, string) error, out io.Writer) (o opened, err error) {
	o.console = process.NewConsole(out)
	unlock, err := lock(ctx, p, o.console)
	if err != nil {
		return opened{}, err
	}
	o.unlock = unlock
	defer func() {
		if err != nil {
			unlock()
		}
	}()

	config, file, err := p.config(config)
	if err != nil {
		return opened{}, err
	}
	o.who = tour.OperatorOf(file)
	if p.composeEnv {
		o.console.Say("NOTE: .env sets %s, so it is made for Compose: the local stack leaves it alone", stack.ComposeVariable)
	}

	if defaults := stack.DevDefaults(); !p.listen.IsLoopback() && p.vars.Get("OPERATOR_TOKEN") == defaults.Get("OPERATOR_TOKEN") {
		o.console.Say("WARNING: -listen %s serves other machines, and the secrets of development are published: set OPERATOR_TOKEN and WEBHOOK_SECRET to your own", p.listen)
	}

	made, err := p.scannerConfig(config, file, scanningHere(), o.console)
	if err != nil {
		return opened{}, err
	}
	options, err := p.options(ctx, made.path, o.console)
	if err != nil {
		return opened{}, err
	}
	if o.Stack, err = stack.New(options); err != nil {
		return opened{}, err
	}
	if err := use(o.Stack, config); err != nil {
		return opened{}, err
	}
	if err := made.write(); err != nil {
		return opened{}, err
	}
	o.console.Say("Mailroom's local stack (logs in %s):", p.show(filepath.Join(p.dir, "log")))
	return o, nil
}

// up starts the services that are not running and prints their addresses.
func up(ctx context.Context, p place, config string, out io.Writer) error {
	o, err := open(ctx, p, config, (*stack.Stack).UseConfig, out)
	if err != nil {
		return err
	}
	defer o.unlock()
	if err := o.Up(ctx); err != nil {
		return err
	}
	tour.Addresses(out, o.Stack, p.vars, o.who)
	return nil
}

// restart restarts ingress and worker, with programs that are built anew, without refusing a
// post. Without a configuration they keep theirs, as it is now.
func restart(ctx context.Context, p place, config string, out io.Writer) error {
	running, err := process.Open(p.dir, nil)
	if err != nil {
		return err
	}
	if !running.Alive(stack.Ingress) && !running.Alive(stack.Worker) {
		return errors.New("neither ingress nor worker runs: start the stack (up)")
	}
	if config == "" {
		config = running.State().Config
	}

	o, err := open(ctx, p, config, (*stack.Stack).ChangeConfig, out)
	if err != nil {
		return err
	}
	defer o.unlock()
	defer o.console.Reassure(ctx)()
	if p.root != "" {
		if err := stack.BuildPrograms(ctx, p.root, p.bin, o.console); err != nil {
			return err
		}
	}
	return o.Renew(ctx)
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
		development, err := p.developmentConfig()
		if err != nil {
			return "", nil, err
		}
		path = development
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
	store, err := stack.ChooseStore(p.dir, p.store, p.caller)
	if err != nil {
		return stack.Options{}, err
	}
	if _, err := exec.LookPath(stack.MinIO); err != nil && store == stack.MinIO && p.root == "" {
		return stack.Options{}, fmt.Errorf("the object store minio is not on PATH: install it, or start a new stack without -store minio (%s forgets all data)", p.caller.Forget())
	}
	if store == stack.Versity && p.store == "" {
		inRepository := ""
		if p.root != "" {
			inRepository = ", or `make dev STORE=minio`"
		}
		console.Say("object store: versitygw, which is part of devstack; with MinIO on PATH%s, a new stack uses that", inRepository)
	}

	options := stack.Options{
		Dir: p.dir, Bin: p.bin, Tools: filepath.Join(p.dir, "tools"), Root: p.root,
		Services: stack.Everything(store), Ports: stack.DevPorts(), WebUI: true, Listen: p.listen.String(),
		Config: config, Vars: p.vars, Caller: p.caller, Console: console,
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
	if text := p.nothing(); text != "" {
		console.Say("%s", text)
		return nil
	}
	unlock, err := lock(ctx, p, console)
	if err != nil {
		return err
	}
	defer unlock()
	return stop(ctx, p, clean, console)
}

// nothing returns a sentence if no stack was ever started here, which a person in another folder
// may not know.
func (p place) nothing() string {
	if _, err := os.Stat(p.dir); !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return fmt.Sprintf("no stack was started with its data in %s: change to the folder in which it was started, or name its -dir", p.dir)
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

// dev starts the stack, sends the samples as soon as they are accepted, and follows the logs
// until it is interrupted.
func dev(ctx context.Context, p place, config string, out io.Writer) error {
	ctx, cancel := whileParent(ctx)
	defer cancel()
	o, err := open(ctx, p, config, (*stack.Stack).UseConfig, out)
	if err != nil {
		return err
	}
	t := tour.New(o.Stack, o.who, out, o.console, p.caller, filepath.Join(p.dir, samplesFile))
	err = o.Up(ctx, t.Begin(ctx))
	o.unlock()
	if err != nil {
		return err
	}

	tour.Addresses(out, o.Stack, p.vars, o.who)
	t.Run(ctx)
	_, _ = fmt.Fprintln(out)
	return down(context.WithoutCancel(ctx), p, false, out)
}

func status(ctx context.Context, p place, out io.Writer) (int, error) {
	if text := p.nothing(); text != "" {
		return exitFailed, errors.New(text)
	}
	store, err := stack.ChooseStore(p.dir, "", p.caller)
	if err != nil {
		return exitFailed, err
	}
	options := stack.Options{
		Dir: p.dir, Services: stack.Everything(store), Ports: stack.DevPorts(), WebUI: true, Vars: p.vars,
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
