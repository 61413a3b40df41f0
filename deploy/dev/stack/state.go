package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// Running is one started service in the state file.
type Running struct {
	Identity

	Name  string         `json:"name"`
	Ports []int          `json:"ports,omitempty"`
	Log   string         `json:"log"`
	Stop  syscall.Signal `json:"stop"` // asks it to end
}

// State is what one stack has started. The zero value is a stack of which
// nothing runs.
type State struct {
	// Owner is who stops the stack; where it has ended without doing so, anybody
	// may. Zero: the stack outlives the program that started it.
	Owner     Identity  `json:"owner"`
	Config    string    `json:"config,omitempty"`
	ConfigSum string    `json:"config_sum,omitempty"`
	Outside   []string  `json:"outside,omitempty"` // folders of the stack that are not below its own
	Services  []Running `json:"services"`
}

const stateName = "state.json"

// stateFile keeps State on disk; every change is written before it counts.
type stateFile struct {
	path string
	mu   sync.Mutex
	now  State
}

// openState reads the state of the stack in dir. None: nothing runs.
func openState(dir string) (*stateFile, error) {
	f := &stateFile{path: filepath.Join(dir, stateName)}
	text, err := os.ReadFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, nil
	case err != nil:
		return nil, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(text, &f.now); err != nil {
		return nil, fmt.Errorf("%s cannot be read (%w): stop what it lists by hand and remove it", f.path, err)
	}
	return f, nil
}

// running gives the named service while it is alive.
func (f *stateFile) running(name string) (Running, bool) {
	f.mu.Lock()
	i := slices.IndexFunc(f.now.Services, func(r Running) bool { return r.Name == name })
	var r Running
	if i >= 0 {
		r = f.now.Services[i]
	}
	f.mu.Unlock()
	return r, i >= 0 && r.alive()
}

func (f *stateFile) get() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.now
	s.Services = slices.Clone(s.Services)
	s.Outside = slices.Clone(s.Outside)
	return s
}

func (f *stateFile) put(r Running) error {
	return f.change(func(s *State) {
		s.Services = append(without(s.Services, r.Name), r)
	})
}

func (f *stateFile) drop(name string) error {
	return f.change(func(s *State) { s.Services = without(s.Services, name) })
}

func without(services []Running, name string) []Running {
	return slices.DeleteFunc(slices.Clone(services), func(r Running) bool { return r.Name == name })
}

// change edits the state and replaces the file in one step, so that a crash
// leaves the old or the new one.
func (f *stateFile) change(edit func(*State)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(&f.now)
	text, err := json.MarshalIndent(f.now, "", "  ")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	temporary := f.path + ".new"
	if err := os.WriteFile(temporary, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(temporary, f.path); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func (f *stateFile) remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = State{}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove state: %w", err)
	}
	return nil
}
