package stack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"mailroom/shared/contract"
)

// programGrace is above what ingress and worker give what is in flight.
const programGrace = 40 * time.Second

// server is the program that runs as ingress, as worker and to migrate the database.
const server = "mailroom"

// ourPrograms are the packages of what Bin holds.
var ourPrograms = [...]string{"./ingress/cmd/mailroom", "./ingress/cmd/mailctl", "./deploy/dev/sink"}

// ProgramNames returns the file names of what BuildPrograms compiles.
func ProgramNames() []string {
	var names []string
	for _, pkg := range ourPrograms {
		names = append(names, path.Base(pkg))
	}
	return names
}

// BuildPrograms compiles Mailroom's programs from the repository at root into bin.
// A program that runs keeps what it was started from.
func BuildPrograms(ctx context.Context, root, bin string, console *Console) error {
	defer console.Await("compiling mailroom, mailctl and sink")()
	began := time.Now()
	if err := os.MkdirAll(bin, 0o755); err != nil { //nolint:gosec // programs for everybody
		return fmt.Errorf("make %s: %w", bin, err)
	}
	if err := goBuild(ctx, root, bin+string(filepath.Separator), ourPrograms[:]...); err != nil {
		return err
	}
	console.Say("  %-11s built %5.1f s  %s", "programs", time.Since(began).Seconds(), bin)
	return nil
}

// tool sees to it that Bin links to the server of that name, where it is one that
// is taken from PATH or built.
func (s *Stack) tool(ctx context.Context, name string) error {
	if s.opt.Root == "" || !slices.Contains([]string{Temporal, TemporalUI, MinIO}, name) {
		return nil
	}
	found, err := Tools{Root: s.opt.Root, Dir: s.opt.Tools, Console: s.opt.Console}.Find(ctx, name)
	if err != nil {
		return err
	}
	link := filepath.Join(s.opt.Bin, name)
	if now, err := os.Readlink(link); err == nil && now == found {
		return nil
	}
	if err := os.MkdirAll(s.opt.Bin, 0o755); err != nil { //nolint:gosec // programs for everybody
		return fmt.Errorf("link %s: %w", name, err)
	}
	_ = os.Remove(link)
	if err := os.Symlink(found, link); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}

// migrate brings the database to the form that the programs want.
func (s *Stack) migrate(ctx context.Context) error {
	defer s.opt.Console.Await("migrating the database")()
	said, err := s.run(ctx, server, "migrate")
	if err != nil {
		return fmt.Errorf("migrate the database: %s", strings.TrimPrefix(said, server+": "))
	}
	return nil
}

// Mailctl runs mailctl against this stack and gives what it prints. Where it
// fails, that is the one line that says why.
func (s *Stack) Mailctl(ctx context.Context, args ...string) (string, error) {
	return s.run(ctx, "mailctl", args...)
}

func (s *Stack) run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.opt.Bin, program), args...) //nolint:gosec // our own program
	cmd.Env = s.programVars().With(s.ClientVars()).List()
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	if err := cmd.Run(); err != nil {
		text := failure.Bytes()
		if len(bytes.TrimSpace(text)) == 0 {
			text = out.Bytes()
		}
		if len(bytes.TrimSpace(text)) == 0 {
			text = []byte(err.Error())
		}
		return reason(text), fmt.Errorf("%s %s: %w", program, args[0], err)
	}
	return strings.TrimSpace(out.String()), nil
}

// ClientVars are the variables by which mailctl finds this stack.
func (s *Stack) ClientVars() Vars {
	return Vars{
		"MAILROOM_URL": s.IngressURL() + "/webhooks/email", "MAILROOM_API": s.OperatorURL(),
		"MAILROOM_TOKEN": s.opt.Vars.Get("OPERATOR_TOKEN"),
	}
}

// IngressURL is where providers post, without a path.
func (s *Stack) IngressURL() string { return "http://" + loopback(s.opt.Ports.Ingress) }

// OperatorURL is where the operator API is, without a path.
func (s *Stack) OperatorURL() string { return "http://" + loopback(s.opt.Ports.Operator) }

// TemporalUI is Temporal's Web UI, without a path.
func (s *Stack) TemporalUI() string { return "http://" + loopback(s.opt.Ports.TemporalUI) }

// S3Console is MinIO's console.
func (s *Stack) S3Console() string { return "http://" + loopback(s.opt.Ports.S3Console) }

// SinkURL is the sample destination, without a path.
func (s *Stack) SinkURL() string { return "http://" + loopback(s.opt.Ports.Sink) }

// MetricsURL gives /metrics of the ingress or the worker.
func (s *Stack) MetricsURL(program string) string {
	port := s.opt.Ports.IngressMetrics
	if program == Worker {
		port = s.opt.Ports.WorkerMetrics
	}
	return "http://" + loopback(port) + "/metrics"
}

func (s *Stack) programVars() Vars {
	return s.base().Except("TEMPORAL_").With(s.Infra().vars()).With(Vars{
		"MAILROOM_CONFIG":          s.opt.Config,
		"MAILROOM_LISTEN":          loopback(s.opt.Ports.Ingress),
		"MAILROOM_OPERATOR_LISTEN": loopback(s.opt.Ports.Operator),
	})
}

// program is a service called name that bin runs with args.
func (s *Stack) program(name string, ports []int, vars Vars, ready func(context.Context) error, bin string, args ...string) *service {
	return &service{
		name: name, ports: ports, where: loopback(ports[0]),
		patience: time.Minute, stop: syscall.SIGTERM, grace: programGrace,
		command: func() (command, error) {
			return command{path: filepath.Join(s.opt.Bin, bin), args: args, vars: s.programVars().With(vars), dir: s.opt.Root}, nil
		},
		ready: ready,
	}
}

func (s *Stack) ingress() *service {
	p := s.opt.Ports
	vars := Vars{"MAILROOM_METRICS_LISTEN": loopback(p.IngressMetrics)}
	return s.program(Ingress, []int{p.Ingress, p.Operator, p.IngressMetrics}, vars, func(ctx context.Context) error {
		return getOK(ctx, s.IngressURL()+"/readyz")
	}, server, "ingress")
}

func (s *Stack) worker() *service {
	port := s.opt.Ports.WorkerMetrics
	vars := Vars{"MAILROOM_METRICS_LISTEN": loopback(port)}
	return s.program(Worker, []int{port}, vars, s.workerReady, server, "worker")
}

// workerReady returns nil when the worker says that it is ready and polls Temporal.
func (s *Stack) workerReady(ctx context.Context) error {
	if err := getOK(ctx, "http://"+loopback(s.opt.Ports.WorkerMetrics)+"/readyz"); err != nil {
		return err
	}
	i := s.Infra()
	return withTemporal(i.Temporal, func(c temporalClient) error {
		return c.polled(ctx, i.TemporalNamespace, contract.TaskQueue)
	})
}

// all is ingress and worker in one process.
func (s *Stack) all() *service {
	p := s.opt.Ports
	vars := Vars{
		"MAILROOM_METRICS_LISTEN":        loopback(p.IngressMetrics),
		"MAILROOM_WORKER_METRICS_LISTEN": loopback(p.WorkerMetrics),
	}
	return s.program(All, []int{p.Ingress, p.Operator, p.IngressMetrics, p.WorkerMetrics}, vars, func(ctx context.Context) error {
		if err := getOK(ctx, s.IngressURL()+"/readyz"); err != nil {
			return err
		}
		return s.workerReady(ctx)
	}, server, "all")
}

func (s *Stack) sink() *service {
	port := s.opt.Ports.Sink
	return s.program(Sink, []int{port}, Vars{"SINK_LISTEN": loopback(port)}, func(ctx context.Context) error {
		return getOK(ctx, s.SinkURL()+"/healthz")
	}, Sink)
}
