package process

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
	"time"
)

// Running is one started service in the state file.
type Running struct {
	Identity

	Name  string         `json:"name"`
	Stop  syscall.Signal `json:"stop"`  // asks it to end
	Grace time.Duration  `json:"grace"` // how long it may take to end before it is killed
}

// State is what one directory has started. In the zero value nothing runs.
type State struct {
	// Owner is the process that ends the services; where it has ended without doing so,
	// any other may. Zero: the services outlive the process that started them.
	Owner     Identity  `json:"owner"`
	Config    string    `json:"config,omitempty"` // path of the configuration that the programs run with
	ConfigSum string    `json:"config_sum,omitempty"`
	Outside   []string  `json:"outside,omitempty"` // folders of the stack that are not below its own
	Services  []Running `json:"services"`
}

// StateName is the name of the state file in its directory.
const StateName = "state.json"

// stateFile keeps State on disk; every change is written before it counts.
type stateFile struct {
	path string
	mu   sync.Mutex
	now  State
}

// openState reads the state of the stack in dir. Without a file nothing runs.
func openState(dir string) (*stateFile, error) {
	f := &stateFile{path: filepath.Join(dir, StateName)}
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

// running returns the named service while it is alive.
func (f *stateFile) running(name string) (Running, bool) {
	for _, r := range f.get().Services {
		if r.Name == name {
			return r, r.Alive()
		}
	}
	return Running{}, false
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

// drop removes a service that has ended. A full disk is no error: an entry that stays is known to
// have ended by the time of its start.
func (f *stateFile) drop(name string) error {
	err := f.change(func(s *State) { s.Services = without(s.Services, name) })
	if errors.Is(err, syscall.ENOSPC) {
		return nil
	}
	return err
}

func without(services []Running, name string) []Running {
	return slices.DeleteFunc(slices.Clone(services), func(r Running) bool { return r.Name == name })
}

// change edits the state and replaces the file in one step, so that a crash leaves the
// old or the new one.
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
