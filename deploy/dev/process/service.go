package process

import (
	"context"
	"syscall"
	"time"
)

// Service is one program that a supervisor can run.
type Service struct {
	Name  string
	Ports []int  // on loopback, all free before it starts
	Where string // for people
	// Prepare writes what the program needs on disk; it is called before every start. May be nil.
	Prepare func(ctx context.Context) error
	Command func() (Command, error)
	// Ready is called until it returns nil: from then on the service is usable.
	Ready    func(ctx context.Context) error
	Patience time.Duration  // how long Ready may return errors
	Stop     syscall.Signal // asks it to end
	Grace    time.Duration  // how long it may take to end before it is killed
}

// Command is how a service is run.
type Command struct {
	Path string
	Args []string
	Env  []string // all of it
	Dir  string
	As   *syscall.Credential // nil: as the caller
}
