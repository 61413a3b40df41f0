package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mailroom/deploy/dev/process"
)

// Down ends everything that the state file of the stack lists: our programs one after the
// other, the last started first, then the servers at the same time. It returns the names
// of what it has ended, in that order.
func (s *Stack) Down(ctx context.Context) ([]string, error) {
	defer s.opt.Console.Reassure(ctx)()
	var names []string
	for _, r := range s.State().Services {
		names = append(names, r.Name)
	}
	return s.EndAll(names, endOrder())
}

// endOrder lists our programs in the order in which they end.
func endOrder() []string {
	order := Programs()
	slices.Reverse(order)
	return order
}

// Forget removes what the stopped stack has kept: data, logs and built programs, but not
// tools, which depend on nothing but their pins.
func (s *Stack) Forget() error {
	kept := s.State().Outside
	for _, name := range []string{"postgres", "temporal", "temporal-ui", MinIO, Versity, "clamav", "log", "bin", "programs", "samples", "build.log", sinkRecord, handoverName, process.StateName} {
		kept = append(kept, filepath.Join(s.opt.Dir, name))
	}
	for _, path := range kept {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove data: %w", err)
		}
	}
	return nil
}

// unclaimed is how long a stack without an owner counts as being made.
const unclaimed = time.Minute

// Owned reports whether the owner of the throwaway stack in dir lives, or the stack has
// only just been made.
func Owned(dir string) (bool, error) {
	s, err := process.Open(dir, nil)
	if err != nil {
		return false, err
	}
	if owner := s.State().Owner; owner != (process.Identity{}) {
		return owner.Alive(), nil
	}
	info, err := os.Stat(dir)
	return err == nil && time.Since(info.ModTime()) < unclaimed, nil
}

// Sweep ends what is left of the throwaway stacks below dir and removes their folders. The
// owner of each has ended or is the caller.
func Sweep(ctx context.Context, dir string, console *process.Console) error {
	var failed []error
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			return err
		case err != nil || entry.IsDir() || entry.Name() != process.StateName:
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

func sweepOne(ctx context.Context, dir string, console *process.Console) error {
	s, err := New(Options{Dir: dir, Console: console})
	if err != nil {
		return err
	}
	if _, err := s.Down(ctx); err != nil {
		return err
	}
	return s.Forget()
}
