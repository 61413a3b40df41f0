package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// The services that a stack can run.
const (
	Postgres   = "postgres"
	Temporal   = "temporal"
	TemporalUI = "temporal-ui"
	MinIO      = "minio"
	Clamd      = "clamd"
	Sink       = "sink"
	Worker     = "worker"
	Ingress    = "ingress"
	All        = "all" // ingress and worker in one process
)

// Everything is what development runs: what tests and measurements need and what
// only people look at.
func Everything() []string { return slices.Concat(Servers(), []string{TemporalUI}, Programs()) }

// Servers are the services that others have written and that our programs need.
func Servers() []string { return []string{Postgres, Temporal, MinIO, Clamd} }

// Programs are Mailroom's own and the sample destination, in the order in which
// they are stopped backwards.
func Programs() []string { return []string{Sink, Worker, Ingress} }

// Options is one stack.
type Options struct {
	Dir      string   // data, logs and state; made when it is missing
	Bin      string   // the programs: mailroom, mailctl, sink, and links to temporal, temporal-ui and minio
	Services []string // which ones to run
	Infra    Infra    // where those servers are that Services leaves out
	Ports    Ports
	Config   string // the configuration file of the programs
	// Vars is the whole environment of the programs, to which the addresses of the
	// services are added. It must hold S3_ACCESS_KEY and S3_SECRET_KEY when MinIO
	// is run.
	Vars Vars
	// Throwaway data may be lost with the power, and clamd knows EICAR alone.
	Throwaway bool
	// Root is the repository; with it tools and programs are built into Bin where
	// they are missing. Empty: Bin is taken as it is.
	Root    string
	Tools   string   // where built tools are kept; needed with Root
	Console *Console // nil: silent
}

// Stack starts, watches and stops the services of its options. It is safe for use
// by several goroutines, as long as each service is started and stopped by one.
type Stack struct {
	opt      Options
	state    *stateFile
	services []*service
	mu       sync.Mutex
	children map[string]*child
}

// New opens the stack in opt.Dir, where an earlier call may have left services
// running. It starts nothing.
func New(opt Options) (*Stack, error) {
	if opt.Console == nil {
		opt.Console = &Console{}
	}
	if err := os.MkdirAll(opt.Dir, 0o755); err != nil { //nolint:gosec // postgres' own user must pass
		return nil, fmt.Errorf("make %s: %w", opt.Dir, err)
	}
	state, err := openState(opt.Dir)
	if err != nil {
		return nil, err
	}
	s := &Stack{opt: opt, state: state, children: map[string]*child{}}
	known := map[string]func() *service{
		Postgres: s.postgres, Temporal: s.temporal, TemporalUI: s.temporalUI, MinIO: s.minio, Clamd: s.clamd,
		Sink: s.sink, Worker: s.worker, Ingress: s.ingress, All: s.all,
	}
	for _, name := range opt.Services {
		if known[name] == nil {
			return nil, fmt.Errorf("no service is called %s: there are %v", name, slices.Sorted(maps.Keys(known)))
		}
		s.services = append(s.services, known[name]())
	}
	return s, nil
}

// Infra gives where the servers are, those of this stack and those of others.
func (s *Stack) Infra() Infra {
	i, p := s.opt.Infra, s.opt.Ports
	if s.runs(Postgres) {
		i.DatabaseURL = postgresURL(p.Postgres, pgDatabase)
	}
	if s.runs(Temporal) {
		i.Temporal, i.TemporalNamespace = loopback(p.Temporal), defaultNamespace
	}
	if s.runs(MinIO) {
		i.S3Endpoint = "http://" + loopback(p.S3)
		i.S3AccessKey, i.S3SecretKey = s.opt.Vars.Get("S3_ACCESS_KEY"), s.opt.Vars.Get("S3_SECRET_KEY")
		i.RawBucket, i.AttachmentsBucket = rawBucket, attachmentsBucket
	}
	if s.runs(Clamd) {
		i.Clamd = loopback(p.Clamd)
	}
	return i
}

// LogFile gives the path of what a service has written since its last start.
func (s *Stack) LogFile(name string) string {
	return filepath.Join(s.opt.Dir, "log", name+".log")
}

// Up starts what does not run and returns when everything is usable. When it
// fails, what it has started is stopped again and what ran before goes on.
func (s *Stack) Up(ctx context.Context) (err error) {
	var missing []*service
	for _, svc := range s.services {
		if _, alive := s.state.running(svc.name); !alive {
			missing = append(missing, svc)
		}
	}
	if err := checkPorts(missing); err != nil {
		return err
	}
	defer s.opt.Console.Reassure(ctx)()
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end(missing))
		}
	}()
	programs := func(svc *service) bool { return svc.name == All || slices.Contains(Programs(), svc.name) }
	wave, waveCtx := errgroup.WithContext(ctx)
	if s.opt.Root != "" && slices.ContainsFunc(missing, programs) {
		wave.Go(func() error { return BuildPrograms(waveCtx, s.opt.Root, s.opt.Bin, s.opt.Console) })
	}
	for _, svc := range s.services {
		if !programs(svc) {
			wave.Go(func() error { return s.bring(waveCtx, svc) })
		}
	}
	if err := wave.Wait(); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.services, programs) {
		return nil
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	wave, waveCtx = errgroup.WithContext(ctx)
	for _, svc := range s.services {
		if programs(svc) {
			wave.Go(func() error { return s.bring(waveCtx, svc) })
		}
	}
	return wave.Wait()
}

// bring makes one service usable, whether it runs already or not.
func (s *Stack) bring(ctx context.Context, svc *service) error {
	began := time.Now()
	if r, alive := s.state.running(svc.name); alive {
		if err := s.waitReady(ctx, svc); err != nil {
			return fmt.Errorf("%w: it has been running before (pid %d); `make down` and `make up` start it afresh", err, r.PID)
		}
		s.opt.Console.Say("  %-11s runs already   %s", svc.name, svc.where)
		return nil
	}
	if err := s.tool(ctx, svc.name); err != nil {
		return err
	}
	if err := s.launch(ctx, svc); err != nil {
		return err
	}
	if err := s.waitReady(ctx, svc); err != nil {
		return err
	}
	s.opt.Console.Say("  %-11s ready %5.1f s  %s", svc.name, time.Since(began).Seconds(), svc.where)
	return nil
}

// Start starts one service of the stack, with whose programs and tools it was
// brought up before, and waits until it is usable.
func (s *Stack) Start(ctx context.Context, name string) error {
	svc, err := s.find(name)
	if err != nil {
		return err
	}
	if _, alive := s.state.running(name); !alive {
		if err := checkPorts([]*service{svc}); err != nil {
			return err
		}
	}
	return s.bring(ctx, svc)
}

// Stop asks one service to end and waits for it; what takes too long is killed.
func (s *Stack) Stop(name string) error { return s.endOne(name, 0) }

// Kill ends one service at once, as a crash would.
func (s *Stack) Kill(name string) error { return s.endOne(name, syscall.SIGKILL) }

// Restart stops and starts one service.
func (s *Stack) Restart(ctx context.Context, name string) error {
	if err := s.Stop(name); err != nil {
		return err
	}
	return s.Start(ctx, name)
}

func (s *Stack) endOne(name string, sig syscall.Signal) error {
	svc, err := s.find(name)
	if err != nil {
		return err
	}
	r, alive := s.state.running(name)
	if !alive {
		return s.state.drop(name)
	}
	if sig == 0 {
		sig = r.Stop
	}
	return s.halt(r, sig, svc.grace)
}

func (s *Stack) find(name string) (*service, error) {
	i := slices.IndexFunc(s.services, func(svc *service) bool { return svc.name == name })
	if i < 0 {
		return nil, fmt.Errorf("this stack does not run %s", name)
	}
	return s.services[i], nil
}

func (s *Stack) runs(name string) bool { return slices.Contains(s.opt.Services, name) }

// base is the environment that every service gets.
func (s *Stack) base() Vars { return s.opt.Vars.With(nil) }
