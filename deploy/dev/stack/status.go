package stack

import (
	"context"
	"fmt"
	"time"

	"mailroom/deploy/dev/process"
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
		return process.OneLine(h.Err)
	}
	return fmt.Sprintf("%s (pid %d)", h.where, h.PID)
}

// Status returns the health of every service of the stack, in the order of its options.
func (s *Stack) Status(ctx context.Context) []Health {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var all []Health
	for _, svc := range s.services {
		h := Health{Name: svc.Name, PID: s.PID(svc.Name), where: svc.Where}
		if h.PID != 0 {
			h.Err = svc.Ready(ctx)
		}
		all = append(all, h)
	}
	return all
}
