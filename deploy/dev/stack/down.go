package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// usualGrace is how long a service of which nothing else is known may take to end.
const usualGrace = programGrace

// Down stops everything that the state file of the stack lists: our programs one
// after the other, the last started first, then the servers side by side. What
// has ended by itself, and what now has its process id, is left alone.
// It gives the names of what it has stopped, in that order.
func (s *Stack) Down(ctx context.Context) ([]string, error) {
	defer s.opt.Console.Reassure(ctx)()
	now := s.state.get()
	var names []string
	for _, r := range now.Services {
		if r.alive() {
			names = append(names, r.Name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(slices.Index(Programs(), b)-slices.Index(Programs(), a), strings.Compare(a, b))
	})
	if err := s.endAll(now.Services); err != nil {
		return nil, err
	}
	return names, s.state.change(func(now *State) { *now = State{Outside: now.Outside} })
}

// end stops those of the services that run.
func (s *Stack) end(services []*service) error {
	var running []Running
	for _, r := range s.state.get().Services {
		if slices.ContainsFunc(services, func(svc *service) bool { return svc.name == r.Name }) {
			running = append(running, r)
		}
	}
	return s.endAll(running)
}

func (s *Stack) endAll(running []Running) error {
	var failed []error
	for _, name := range slices.Backward(Programs()) {
		for _, r := range running {
			if r.Name == name {
				failed = append(failed, s.halt(r, r.Stop, s.grace(name)))
			}
		}
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, r := range running {
		if slices.Contains(Programs(), r.Name) {
			continue
		}
		wait.Go(func() {
			err := s.halt(r, r.Stop, s.grace(r.Name))
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
		})
	}
	wait.Wait()
	return errors.Join(failed...)
}

func (s *Stack) grace(name string) time.Duration {
	if svc, err := s.find(name); err == nil {
		return svc.grace
	}
	return usualGrace
}

// Forget removes what the stopped stack has kept: data, logs and built programs,
// but not tools, which depend on nothing but their pins.
func (s *Stack) Forget() error {
	outside := s.state.get().Outside
	for _, name := range []string{"postgres", "temporal", "temporal-ui", "minio", "clamav", "log", "bin", "programs"} {
		outside = append(outside, filepath.Join(s.opt.Dir, name))
	}
	for _, path := range outside {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove data: %w", err)
		}
	}
	return s.state.remove()
}

// outside notes a folder of the stack that does not lie below its own.
func (s *Stack) outside(dir string) error {
	return s.state.change(func(now *State) {
		if !slices.Contains(now.Outside, dir) {
			now.Outside = append(now.Outside, dir)
		}
	})
}

// Sweep stops what is left of the stacks below dir and removes their folders. It
// is for throwaway stacks, whose owner has ended or is the caller.
func Sweep(ctx context.Context, dir string, console *Console) error {
	var failed []error
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			return err
		case err != nil || entry.IsDir() || entry.Name() != stateName:
			return nil
		}
		failed = append(failed, sweepOne(ctx, filepath.Dir(path), console))
		return nil
	})
	if err := errors.Join(append(failed, err)...); err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	return nil
}

func sweepOne(ctx context.Context, dir string, console *Console) error {
	s, err := New(Options{Dir: dir, Console: console})
	if err != nil {
		return err
	}
	if _, err := s.Down(ctx); err != nil {
		return err
	}
	return s.Forget()
}
