package stack

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"

	"mailroom/deploy/dev/process"
)

// The services that a stack can run.
const (
	Postgres = "postgres"
	Temporal = "temporal"
	MinIO    = "minio"
	Versity  = "versitygw" // an object store too
	Clamd    = "clamd"
	Sink     = "sink"
	Worker   = "worker"
	Ingress  = "ingress"
	All      = "all" // ingress and worker in one process
)

// Everything is what development runs, with store as its object store.
func Everything(store string) []string {
	return slices.Concat([]string{Postgres, Temporal, store, Clamd}, Programs())
}

// Servers are the services that others have written and that our programs need.
func Servers() []string { return []string{Postgres, Temporal, MinIO, Clamd} }

// Programs are Mailroom's own and the sample destination, in the order in which
// they are stopped backwards.
func Programs() []string { return []string{Sink, Worker, Ingress} }

// Devstack is the program in Bin that serves Temporal and the object store.
const Devstack = "devstack"

// Options is one stack.
type Options struct {
	Dir      string   // data, logs and state; made when it is missing
	Bin      string   // the programs: mailroom, mailctl, sink, and links to devstack and minio
	Services []string // which ones to run
	Infra    Infra    // where those servers are that Services leaves out
	Ports    Ports
	WebUI    bool   // Temporal serves its Web UI too
	Listen   string // IP on which webhook, console and Web UI listen; empty: loopback. All else is on loopback
	Config   string // the configuration file of the programs
	// Vars is the whole environment of the programs, to which the addresses of the
	// services are added. It must hold S3_ACCESS_KEY and S3_SECRET_KEY when an object
	// store is run.
	Vars Vars
	// Throwaway data may be lost with the power, clamd knows EICAR alone, and the stack may
	// be swept once the calling process has ended.
	Throwaway bool
	// Root is the repository; with it tools and programs are built into Bin where
	// they are missing. Empty: Bin is taken as it is.
	Root    string
	Tools   string           // where built tools are kept; needed with Root
	Caller  Caller           // for advice in messages
	Console *process.Console // nil: silent
}

// Stack is a set of services with the servers and the configuration that they need. It is
// safe for use by several goroutines, as long as each service is started and stopped by one.
type Stack struct {
	*process.Supervisor
	addresses

	opt      Options
	services []process.Service
}

// known are all services by name.
var known = map[string]func(*Stack) process.Service{
	Postgres: postgresService, Temporal: temporalService, MinIO: minioService, Versity: versityService,
	Clamd: clamdService, Sink: sinkService, Worker: workerService, Ingress: ingressService, All: allService,
}

// New opens the stack in opt.Dir, where an earlier call may have left services running. It
// starts nothing.
func New(opt Options) (*Stack, error) {
	if opt.Console == nil {
		opt.Console = &process.Console{}
	}
	opt.Listen = cmp.Or(opt.Listen, "127.0.0.1")
	supervisor, err := process.Open(opt.Dir, opt.Console)
	if err != nil {
		return nil, err
	}

	s := &Stack{Supervisor: supervisor, addresses: addresses{opt.Ports, opt.Vars.Get("OPERATOR_TOKEN")}, opt: opt}
	for _, name := range opt.Services {
		if known[name] == nil {
			return nil, fmt.Errorf("no service is called %s: there are %v", name, slices.Sorted(maps.Keys(known)))
		}
		s.services = append(s.services, known[name](s))
	}
	if !opt.Throwaway {
		return s, nil
	}
	self, _ := process.Identify(os.Getpid())
	return s, s.Change(func(now *process.State) { now.Owner = self })
}

// Services returns the names of what this stack runs.
func (s *Stack) Services() []string { return slices.Clone(s.opt.Services) }

// Infra returns where the servers are, those of this stack and those of others.
func (s *Stack) Infra() Infra {
	i, p := s.opt.Infra, s.opt.Ports
	runs := func(name string) bool { return slices.Contains(s.opt.Services, name) }

	if runs(Postgres) {
		i.DatabaseURL = postgresURL(p.Postgres, pgDatabase)
	}
	if runs(Temporal) {
		i.Temporal, i.TemporalNamespace = process.Loopback(p.Temporal), defaultNamespace
	}
	for name, port := range map[string]int{MinIO: p.S3, Versity: p.Versity} {
		if runs(name) && (name == MinIO || !runs(MinIO)) {
			o := s.objects(port)
			i.S3Endpoint, i.S3AccessKey, i.S3SecretKey = o.S3Endpoint, o.S3AccessKey, o.S3SecretKey
			i.RawBucket, i.AttachmentsBucket = o.RawBucket, o.AttachmentsBucket
		}
	}
	if runs(Clamd) {
		i.Clamd = process.Loopback(p.Clamd)
	}
	return i
}

// Start starts one service of the stack, with the programs and tools with which it was
// brought up before, and waits until it is usable.
func (s *Stack) Start(ctx context.Context, name string) error {
	svc, err := find(s, name)
	if err != nil {
		return err
	}
	if !s.Alive(name) {
		if err := process.CheckPorts([]process.Service{svc}); err != nil {
			return err
		}
	}
	return s.Ensure(ctx, svc)
}

// Stop asks one service to end and waits for it; one that takes too long is killed.
func (s *Stack) Stop(name string) error { return endOne(s, name, 0) }

// Kill ends one service at once, as a crash would.
func (s *Stack) Kill(name string) error { return endOne(s, name, syscall.SIGKILL) }

// Restart stops and starts one service.
func (s *Stack) Restart(ctx context.Context, name string) error {
	if err := s.Stop(name); err != nil {
		return err
	}
	return s.Start(ctx, name)
}

// Renew restarts our programs with what is in Bin and in the configuration, after the
// migrations: ingress and worker, of those that run. A new ingress takes the sockets of the
// one before, which ends when the new one serves: no connection is refused.
func (s *Stack) Renew(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.Alive(Ingress) {
		if err := s.Replace(ctx, Ingress); err != nil {
			return err
		}
	}
	if s.Alive(Worker) {
		return s.Restart(ctx, Worker)
	}
	return nil
}

// Replace starts one service anew. The ingress is started beside the one that runs, as far
// as the path of the stack permits it.
func (s *Stack) Replace(ctx context.Context, name string) error {
	svc, err := find(s, name)
	if err != nil {
		return err
	}
	if name != Ingress || s.handover() == "" {
		s.opt.Console.Say("%-11s restarts, and answers nothing meanwhile", name)
		return s.Restart(ctx, name)
	}
	return s.Supervisor.Replace(ctx, svc)
}

func endOne(s *Stack, name string, sig syscall.Signal) error {
	if _, err := find(s, name); err != nil {
		return err
	}
	return s.End(name, sig)
}

func find(s *Stack, name string) (process.Service, error) {
	i := slices.IndexFunc(s.services, func(svc process.Service) bool { return svc.Name == name })
	if i < 0 {
		return process.Service{}, fmt.Errorf("this stack does not run %s", name)
	}
	return s.services[i], nil
}
