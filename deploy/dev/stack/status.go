package stack

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Health is how one service of a stack is.
type Health struct {
	Name  string
	PID   int   // 0: it does not run, or this stack did not start it
	Err   error // why it is not usable; nil: it is
	where string
}

// Ready reports whether the service runs and is usable.
func (h Health) Ready() bool { return h.PID != 0 && h.Err == nil }

// State is one word for people.
func (h Health) State() string {
	switch {
	case h.PID == 0:
		return "not running"
	case h.Err != nil:
		return "not ready"
	}
	return "ready"
}

// Detail says where it is and, where it is not usable, why.
func (h Health) Detail() string {
	switch {
	case h.PID == 0:
		return ""
	case h.Err != nil:
		return OneLine(h.Err)
	}
	return fmt.Sprintf("%s (pid %d)", h.where, h.PID)
}

// Status gives the health of every service of the stack, in the order of its
// options.
func (s *Stack) Status(ctx context.Context) []Health {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var all []Health
	for _, svc := range s.services {
		h := Health{Name: svc.name, where: svc.where}
		if r, alive := s.state.running(svc.name); alive {
			h.PID, h.Err = r.PID, svc.ready(ctx)
		}
		all = append(all, h)
	}
	return all
}

// Services gives the names of what this stack runs.
func (s *Stack) Services() []string { return slices.Clone(s.opt.Services) }

// Alive reports whether a service runs, usable or not.
func (s *Stack) Alive(name string) bool {
	_, alive := s.state.running(name)
	return alive
}

// PID returns the process id of a service, 0 where it does not run.
func (s *Stack) PID(name string) int {
	if r, alive := s.state.running(name); alive {
		return r.PID
	}
	return 0
}

// LastWords gives the line of a service's log that most likely says why it ended.
func (s *Stack) LastWords(name string) string { return lastWords(s.LogFile(name)) }
