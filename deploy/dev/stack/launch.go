package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Every how often an answer is asked for while something starts or ends.
const (
	readyPoll = 100 * time.Millisecond
	endPoll   = 20 * time.Millisecond
)

// service is one program that the stack can run.
type service struct {
	name  string
	ports []int // on loopback, all free before it starts
	where string
	// prepare makes what the program needs on disk; it is called before every start.
	prepare func(ctx context.Context) error
	command func() (command, error)
	// ready is asked until it gives nil: from then on the service is usable.
	ready    func(ctx context.Context) error
	patience time.Duration  // how long ready may give errors
	stop     syscall.Signal // asks it to end
	grace    time.Duration  // how long it may take to end before it is killed
}

// command is how a service is run.
type command struct {
	path string
	args []string
	vars Vars
	dir  string
	as   *syscall.Credential // nil: as the caller
}

// child is a service that this very program started.
type child struct {
	ended chan struct{} // closed when it has been collected
}

// launch starts s in a session of its own, so that an interrupt at the terminal
// does not reach it, and writes it to the state file.
func (s *Stack) launch(ctx context.Context, svc *service) error {
	if svc.prepare != nil {
		if err := svc.prepare(ctx); err != nil {
			return fmt.Errorf("%s: %w", svc.name, err)
		}
	}
	c, err := svc.command()
	if err != nil {
		return fmt.Errorf("%s: %w", svc.name, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	log, err := s.openLog(svc.name)
	if err != nil {
		return fmt.Errorf("%s: %w", svc.name, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(c.path, c.args...) //nolint:gosec,noctx // it outlives the context
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.vars.List(), c.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.as}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", svc.name, err)
	}
	started := &child{ended: make(chan struct{})}
	identity, _ := identify(cmd.Process.Pid)
	go func() {
		_ = cmd.Wait()
		close(started.ended)
	}()
	s.mu.Lock()
	s.children[svc.name] = started
	s.mu.Unlock()
	return s.state.put(Running{Identity: identity, Name: svc.name, Ports: svc.ports, Log: log.Name(), Stop: svc.stop})
}

// openLog gives an empty log; what the last run wrote is kept beside it.
func (s *Stack) openLog(name string) (*os.File, error) {
	path := s.LogFile(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	if err := os.Rename(path, path+".before"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // below the stack's own folder
}

// waitReady waits until svc is usable. It gives up as soon as the program has
// ended, and then says what the program said last.
func (s *Stack) waitReady(ctx context.Context, svc *service) error {
	defer s.opt.Console.Await(svc.name)()
	ctx, cancel := context.WithTimeout(ctx, svc.patience)
	defer cancel()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	ended := s.ended(svc.name)
	for {
		err := svc.ready(ctx)
		if err == nil {
			return nil
		}
		if _, alive := s.state.running(svc.name); !alive {
			return s.endedEarly(svc)
		}
		select {
		case <-ended:
			return s.endedEarly(svc)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s is not ready after %s: %w (log: %s)", svc.name, svc.patience, err, s.LogFile(svc.name))
			}
			return ctx.Err()
		case <-poll.C:
		}
	}
}

func (s *Stack) endedEarly(svc *service) error {
	return fmt.Errorf("%s ended while starting: %s (log: %s)", svc.name, lastWords(s.LogFile(svc.name)), s.LogFile(svc.name))
}

// ended gives a channel that is closed when a service that this program started
// has ended, and one that never closes for others.
func (s *Stack) ended(name string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.children[name]; c != nil {
		return c.ended
	}
	return make(chan struct{})
}

// halt ends a running service: it is asked with sig, and killed with all it has
// started when it is still there after the grace. Ending what has ended is no error.
func (s *Stack) halt(r Running, sig syscall.Signal, grace time.Duration) error {
	defer s.opt.Console.Await("stopping " + r.Name)()
	lived := r.alive()
	if err := r.signal(sig); err != nil {
		return fmt.Errorf("stop %s: %w", r.Name, err)
	}
	deadline := time.Now().Add(grace)
	poll := time.NewTicker(endPoll)
	defer poll.Stop()
	for r.alive() {
		<-poll.C
		if time.Now().After(deadline) {
			s.opt.Console.Say("  %-11s did not end within %s: killed", r.Name, grace)
			if err := r.signal(syscall.SIGKILL); err != nil {
				return fmt.Errorf("stop %s: %w", r.Name, err)
			}
			deadline = time.Now().Add(time.Hour)
		}
	}
	if lived { // it led a process group of its own: whoever is left in it is its child
		_ = syscall.Kill(-r.PID, syscall.SIGKILL)
	}
	s.mu.Lock()
	c := s.children[r.Name]
	delete(s.children, r.Name)
	s.mu.Unlock()
	if c != nil && lived {
		<-c.ended // collected
	}
	return s.state.drop(r.Name)
}
