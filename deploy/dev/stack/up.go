package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"mailroom/deploy/dev/process"
)

// Step is one thing to do at the start of a stack. It begins when all the steps that it needs
// are done; a name that is no step of this start counts as done.
type Step struct {
	Name  string // of a service, or one of its own
	Needs []string
	Run   func(ctx context.Context) error
}

// Steps that are no service.
const (
	build   = "build"   // compile our programs
	migrate = "migrate" // bring the database up to date
)

// processing bounds how long the ingress takes to notice that Temporal is there.
const processing = time.Minute

// Up starts what does not run and returns when an email would be accepted and processed. Our
// own programs are compiled first, then the servers of others that are missing; each service
// starts as soon as what it needs is usable, so that the ingress accepts email while Temporal
// is compiled. Further steps may need a service. When Up fails, what it has started is stopped
// again and what ran before goes on.
func (s *Stack) Up(ctx context.Context, more ...Step) (err error) {
	var missing []process.Service
	for _, svc := range s.services {
		if !s.Alive(svc.Name) {
			missing = append(missing, svc)
		}
	}
	if err := process.CheckPorts(missing); err != nil {
		return err
	}
	defer s.opt.Console.Reassure(ctx)()
	defer func() {
		if err != nil {
			_, failed := s.EndAll(names(missing), endOrder())
			err = errors.Join(err, failed)
		}
	}()
	return runSteps(ctx, append(s.steps(names(missing)), more...))
}

// steps returns what a start consists of, of which the named services do not run.
func (s *Stack) steps(missing []string) []Step {
	var all []Step
	ours := func(name string) bool { return name == All || slices.Contains(Programs(), name) }
	compiled := make(chan struct{})
	if s.opt.Root != "" && slices.ContainsFunc(missing, ours) {
		all = append(all, Step{build, nil, func(ctx context.Context) error {
			err := BuildPrograms(ctx, s.opt.Root, s.opt.Bin, s.opt.Console)
			if err == nil {
				close(compiled)
			}
			return err
		}})
	} else {
		close(compiled)
	}
	if slices.ContainsFunc(names(s.services), ours) {
		all = append(all, Step{migrate, []string{build, Postgres}, s.migrate})
	}

	for _, svc := range s.services {
		all = append(all, Step{svc.Name, needs(svc.Name), func(ctx context.Context) error {
			if slices.Contains(missing, svc.Name) {
				if err := s.link(ctx, svc.Name, compiled); err != nil {
					return err
				}
			}
			return s.Ensure(ctx, svc)
		}})
	}
	if slices.Contains(s.opt.Services, Ingress) && slices.Contains(s.opt.Services, Temporal) {
		all = append(all, Step{"processing", []string{Ingress, Temporal}, s.awaitProcessing})
	}
	return all
}

// link makes Bin hold the tool that a service runs, if it is one of others that is taken from
// PATH or built. A build begins when compiled is closed.
func (s *Stack) link(ctx context.Context, service string, compiled <-chan struct{}) error {
	tool := map[string]string{Temporal: Devstack, Versity: Devstack, MinIO: MinIO}[service]
	if s.opt.Root == "" || tool == "" {
		return nil
	}
	_, err := Tools{Root: s.opt.Root, Dir: s.opt.Tools, Console: s.opt.Console, After: compiled}.Link(ctx, s.opt.Bin, tool)
	return err
}

// needs returns the steps that have to be done before a service starts.
func needs(service string) []string {
	switch service {
	case Ingress: // it accepts email without the others
		return []string{migrate}
	case Worker, All:
		return append(Servers(), Versity, migrate, Sink)
	case Sink:
		return []string{build}
	case Versity: // the same program, which is built once
		return []string{Temporal}
	}
	return nil
}

// runSteps runs steps, each as soon as what it needs is done, and returns the first error.
func runSteps(ctx context.Context, steps []Step) error {
	done := map[string]chan struct{}{}
	for _, step := range steps {
		done[step.Name] = make(chan struct{})
	}

	group, ctx := errgroup.WithContext(ctx)
	for _, step := range steps {
		group.Go(func() error {
			for _, name := range step.Needs {
				if done[name] == nil {
					continue
				}
				select {
				case <-done[name]:
				case <-ctx.Done():
					return ctx.Err()
				}
			}

			err := step.Run(ctx)
			if err == nil {
				close(done[step.Name])
			}
			return err
		})
	}
	return group.Wait()
}

func (s *Stack) migrate(ctx context.Context) error {
	defer s.opt.Console.Await("migrating the database")()
	if said, err := runProgram(ctx, s, server, "migrate"); err != nil {
		return fmt.Errorf("migrate the database: %s", strings.TrimPrefix(said, server+": "))
	}
	return nil
}

// awaitProcessing waits until the ingress reaches everything: it is ready without Temporal, and
// then calls it again after a pause.
func (s *Stack) awaitProcessing(ctx context.Context) error {
	defer s.opt.Console.Await("the ingress to reach Temporal")()
	return eventually(ctx, processing, func() error {
		status, text, err := get(ctx, s.IngressURL()+"/readyz")
		if err != nil || status != http.StatusOK || strings.Contains(text, `"degraded"`) {
			return errors.Join(fmt.Errorf("the ingress does not reach all it needs: %s", text), err)
		}
		return nil
	})
}

func names(services []process.Service) []string {
	var all []string
	for _, svc := range services {
		all = append(all, svc.Name)
	}
	return all
}
