package stack

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"mailroom/deploy/dev/process"
	"mailroom/shared/contract"
)

// programGrace is longer than ingress and worker take to finish what they have begun.
const programGrace = 40 * time.Second

func programVars(s *Stack) Vars {
	return s.opt.Vars.Except("TEMPORAL_").With(s.Infra().vars()).With(Vars{
		"MAILROOM_CONFIG":          s.opt.Config,
		"MAILROOM_LISTEN":          net.JoinHostPort(s.opt.Listen, strconv.Itoa(s.opt.Ports.Ingress)),
		"MAILROOM_OPERATOR_LISTEN": net.JoinHostPort(s.opt.Listen, strconv.Itoa(s.opt.Ports.Operator)),
	})
}

// program is a service called name that bin runs with args.
func program(s *Stack, name string, ports []int, vars Vars, ready func(context.Context) error, bin string, args ...string) process.Service {
	return process.Service{
		Name: name, Ports: ports, Where: process.Loopback(ports[0]),
		Patience: time.Minute, Stop: syscall.SIGTERM, Grace: programGrace,
		Command: func() (process.Command, error) {
			return process.Command{Path: filepath.Join(s.opt.Bin, bin), Args: args, Env: programVars(s).With(vars).List(), Dir: s.opt.Root}, nil
		},
		Ready: ready,
	}
}

// handoverName is the Unix socket at which one ingress hands its sockets to the next.
const handoverName = "handover"

// maxSocketPath bounds the path of a Unix socket in bytes, with what the program appends.
const maxSocketPath = 90

// handover returns the path of that socket, empty where it would be too long.
func (s *Stack) handover() string {
	path := filepath.Join(s.opt.Dir, handoverName)
	if len(path) > maxSocketPath {
		return ""
	}
	return path
}

func ingressService(s *Stack) process.Service {
	p := s.opt.Ports
	vars := Vars{"MAILROOM_METRICS_LISTEN": process.Loopback(p.IngressMetrics), "MAILROOM_HANDOVER": s.handover()}
	return program(s, Ingress, []int{p.Ingress, p.Operator, p.IngressMetrics}, vars, func(ctx context.Context) error {
		return getOK(ctx, s.IngressURL()+"/readyz")
	}, server, "ingress")
}

func workerService(s *Stack) process.Service {
	port := s.opt.Ports.WorkerMetrics
	vars := Vars{"MAILROOM_METRICS_LISTEN": process.Loopback(port)}
	return program(s, Worker, []int{port}, vars, func(ctx context.Context) error { return workerReady(ctx, s) }, server, "worker")
}

// workerReady returns nil when the worker says that it is ready and polls Temporal.
func workerReady(ctx context.Context, s *Stack) error {
	if err := getOK(ctx, "http://"+process.Loopback(s.opt.Ports.WorkerMetrics)+"/readyz"); err != nil {
		return err
	}
	i := s.Infra()
	return withTemporal(i.Temporal, func(c temporalClient) error {
		return c.polled(ctx, i.TemporalNamespace, contract.TaskQueue)
	})
}

// allService is ingress and worker in one process.
func allService(s *Stack) process.Service {
	p := s.opt.Ports
	vars := Vars{
		"MAILROOM_METRICS_LISTEN":        process.Loopback(p.IngressMetrics),
		"MAILROOM_WORKER_METRICS_LISTEN": process.Loopback(p.WorkerMetrics),
	}
	return program(s, All, []int{p.Ingress, p.Operator, p.IngressMetrics, p.WorkerMetrics}, vars, func(ctx context.Context) error {
		if err := getOK(ctx, s.IngressURL()+"/readyz"); err != nil {
			return err
		}
		return workerReady(ctx, s)
	}, server, "all")
}

// sinkRecord is the file in which the sample destination remembers what it received.
const sinkRecord = "received.jsonl"

func sinkService(s *Stack) process.Service {
	port := s.opt.Ports.Sink
	vars := Vars{
		"SINK_LISTEN": process.Loopback(port),
		"SINK_FILE":   filepath.Join(s.opt.Dir, sinkRecord),
		"SINK_BODIES": "0",
	}
	return program(s, Sink, []int{port}, vars, func(ctx context.Context) error {
		return getOK(ctx, s.SinkURL()+"/healthz")
	}, Sink)
}
