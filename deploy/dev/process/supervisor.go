package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	readyPoll = 100 * time.Millisecond // how often Ready is called while something starts
	endPoll   = 20 * time.Millisecond  // how often is looked whether something has ended

	// defaultGrace is the grace of a service whose state does not name one.
	defaultGrace = 40 * time.Second
)

// Supervisor runs the services of one directory. It is safe for use by several goroutines,
// as long as each service is started and ended by one.
type Supervisor struct {
	dir      string
	console  *Console
	state    *stateFile
	mu       sync.Mutex
	children map[string]<-chan struct{} // of this process; closed when the child has been collected
}

// Open returns the supervisor of dir, where an earlier call may have left services
// running. It starts nothing. A nil console says nothing.
func Open(dir string, console *Console) (*Supervisor, error) {
	if console == nil {
		console = &Console{}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // postgres' own user must pass
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	state, err := openState(dir)
	if err != nil {
		return nil, err
	}
	return &Supervisor{dir: dir, console: console, state: state, children: map[string]<-chan struct{}{}}, nil
}

// State returns what runs in this directory and what is known of it.
func (s *Supervisor) State() State { return s.state.get() }

// Change edits the state and writes it.
func (s *Supervisor) Change(edit func(*State)) error { return s.state.change(edit) }

// PID returns the process id of a service, 0 where it does not run.
func (s *Supervisor) PID(name string) int {
	if r, alive := s.state.running(name); alive {
		return r.PID
	}
	return 0
}

// Alive reports whether a service runs, usable or not.
func (s *Supervisor) Alive(name string) bool { return s.PID(name) != 0 }

// LogFile returns the path of what a service has written since its last start. What it
// wrote before is beside it, with ".before" after the name.
func (s *Supervisor) LogFile(name string) string { return filepath.Join(s.dir, "log", name+".log") }

// Ensure starts a service unless it runs, and returns when it is usable. A service that
// has failed to become usable is left to the caller to end.
func (s *Supervisor) Ensure(ctx context.Context, svc Service) error {
	began := time.Now()
	if pid := s.PID(svc.Name); pid != 0 {
		if err := s.waitReady(ctx, svc); err != nil {
			return fmt.Errorf("%w: it has been running before (pid %d); stop (down) and start (up) the stack to start it afresh", err, pid)
		}
		s.console.Say("%-11s runs already   %s", svc.Name, svc.Where)
		return nil
	}

	if svc.Prepare != nil {
		if err := svc.Prepare(ctx); err != nil {
			return fmt.Errorf("%s: %w", svc.Name, err)
		}
	}
	if err := s.launch(ctx, svc); err != nil {
		return err
	}
	if err := s.waitReady(ctx, svc); err != nil {
		return err
	}
	s.console.Say("%-11s ready %5.1f s  %s", svc.Name, time.Since(began).Seconds(), svc.Where)
	return nil
}

// Replace starts a service beside the run of it that goes on. The new one makes the old one
// end when it can do its work; Replace returns when the old one has ended. If the new one
// fails, it is ended and the old one goes on. A service that does not run is started.
func (s *Supervisor) Replace(ctx context.Context, svc Service) error {
	old, alive := s.state.running(svc.Name)
	if !alive {
		return s.Ensure(ctx, svc)
	}
	began := time.Now()
	s.mu.Lock()
	ended := s.children[svc.Name]
	s.mu.Unlock()

	if svc.Prepare != nil {
		if err := svc.Prepare(ctx); err != nil {
			return fmt.Errorf("%s: %w", svc.Name, err)
		}
	}
	if err := s.launch(ctx, svc); err != nil {
		return err
	}
	err := s.waitReplaced(ctx, svc, old)
	if err == nil {
		err = s.waitReady(ctx, svc)
	}
	if err != nil && old.Alive() {
		return errors.Join(fmt.Errorf("%w; the one that ran before goes on", err), s.restore(old, ended))
	}
	if err == nil {
		s.console.Say("%-11s ready %5.1f s  %s", svc.Name, time.Since(began).Seconds(), svc.Where)
	}
	return err
}

// waitReplaced waits until old has ended, which the newly launched service makes it do.
func (s *Supervisor) waitReplaced(ctx context.Context, svc Service, old Running) error {
	defer s.console.Await(svc.Name)()
	ctx, cancel := context.WithTimeout(ctx, svc.Patience+svc.Grace)
	defer cancel()
	poll := time.NewTicker(endPoll)
	defer poll.Stop()

	for old.Alive() {
		log := s.LogFile(svc.Name)
		if !s.Alive(svc.Name) {
			return fmt.Errorf("%s ended while starting: %s (log: %s)", svc.Name, LastWords(log), log)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s has not replaced the one before after %s (log: %s)", svc.Name, svc.Patience+svc.Grace, log)
			}
			return ctx.Err()
		}
	}
	return nil
}

// restore ends what was launched to replace old, and puts old and its log back.
func (s *Supervisor) restore(old Running, ended <-chan struct{}) error {
	err := s.End(old.Name, syscall.SIGKILL)
	s.mu.Lock()
	if ended != nil {
		s.children[old.Name] = ended
	}
	s.mu.Unlock()
	log := s.LogFile(old.Name)
	return errors.Join(err, os.Rename(log, log+".failed"), os.Rename(log+".before", log), s.state.put(old))
}

// launch starts a service in its own session, so that an interrupt at the terminal does
// not reach it, and writes it to the state file.
func (s *Supervisor) launch(ctx context.Context, svc Service) error {
	c, err := svc.Command()
	if err != nil {
		return fmt.Errorf("%s: %w", svc.Name, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	log, err := openLog(s.LogFile(svc.Name))
	if err != nil {
		return fmt.Errorf("%s: %w", svc.Name, err)
	}
	defer func() { _ = log.Close() }()

	cmd := exec.Command(c.Path, c.Args...) //nolint:gosec,noctx // it outlives the context
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.As}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", svc.Name, err)
	}
	identity, _ := Identify(cmd.Process.Pid)

	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.mu.Lock()
	s.children[svc.Name] = ended
	s.mu.Unlock()
	return s.state.put(Running{Identity: identity, Name: svc.Name, Stop: svc.Stop, Grace: svc.Grace})
}

// openLog returns an empty log; what the last run wrote is kept beside it.
func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	if err := os.Rename(path, path+".before"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // below the stack's own folder
}

// waitReady waits until a service is usable. It fails as soon as the program has ended,
// with what the program wrote last.
func (s *Supervisor) waitReady(ctx context.Context, svc Service) error {
	defer s.console.Await(svc.Name)()
	ctx, cancel := context.WithTimeout(ctx, svc.Patience)
	defer cancel()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	s.mu.Lock()
	ended := s.children[svc.Name] // nil, which blocks for ever, for what another process has started
	s.mu.Unlock()

	for {
		err := svc.Ready(ctx)
		if err == nil {
			return nil
		}
		gone := !s.Alive(svc.Name)
		select {
		case <-ended:
			gone = true
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s is not ready after %s: %w (log: %s)", svc.Name, svc.Patience, err, s.LogFile(svc.Name))
			}
			return ctx.Err()
		case <-poll.C:
		}
		if gone {
			log := s.LogFile(svc.Name)
			return fmt.Errorf("%s ended while starting: %s (log: %s)", svc.Name, LastWords(log), log)
		}
	}
}

// End ends a service with a signal, or with its own where that is 0, and kills it after
// its grace. Ending what does not run is no error.
func (s *Supervisor) End(name string, sig syscall.Signal) error {
	r, alive := s.state.running(name)
	if !alive {
		return s.state.drop(name)
	}
	return s.halt(r, cmp.Or(sig, r.Stop))
}

// EndAll ends the named services: those of order one after the other, in that order, then
// the others at the same time. It returns the names of those that ran, in that order.
func (s *Supervisor) EndAll(names, order []string) ([]string, error) {
	var ended, rest []string
	var failed []error
	for _, name := range order {
		if slices.Contains(names, name) && s.Alive(name) {
			ended = append(ended, name)
		}
	}
	for _, name := range ended {
		failed = append(failed, s.End(name, 0))
	}

	for _, name := range slices.Sorted(slices.Values(names)) {
		if !slices.Contains(ended, name) && s.Alive(name) {
			rest = append(rest, name)
		}
	}
	failures := make([]error, len(rest))
	var wait sync.WaitGroup
	for i, name := range rest {
		wait.Go(func() { failures[i] = s.End(name, 0) })
	}
	wait.Wait()

	for _, name := range names { // also of those that had ended before
		if !s.Alive(name) {
			failed = append(failed, s.state.drop(name))
		}
	}
	return append(ended, rest...), errors.Join(append(failed, failures...)...)
}

// halt ends a running service: it sends sig, and kills the service with all its children
// when it is still there after its grace.
func (s *Supervisor) halt(r Running, sig syscall.Signal) error {
	defer s.console.Await("stopping " + r.Name)()
	lived := r.Alive()
	if err := r.Signal(sig); err != nil {
		return fmt.Errorf("stop %s: %w", r.Name, err)
	}

	grace := cmp.Or(r.Grace, defaultGrace)
	deadline := time.Now().Add(grace)
	poll := time.NewTicker(endPoll)
	defer poll.Stop()
	for r.Alive() {
		<-poll.C
		if time.Now().After(deadline) {
			s.console.Say("%-11s did not end within %s: killed", r.Name, grace)
			if err := r.Signal(syscall.SIGKILL); err != nil {
				return fmt.Errorf("stop %s: %w", r.Name, err)
			}
			deadline = time.Now().Add(time.Hour)
		}
	}
	if lived { // it led its own process group: what is left in it are its children
		_ = syscall.Kill(-r.PID, syscall.SIGKILL)
	}

	s.mu.Lock()
	ended := s.children[r.Name]
	delete(s.children, r.Name)
	s.mu.Unlock()
	if ended != nil && lived {
		<-ended
	}
	return s.state.drop(r.Name)
}
