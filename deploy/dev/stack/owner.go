package stack

import (
	"os"
	"time"
)

// ConfigChange is how a configuration differs from that of the running programs.
type ConfigChange int

// The answers of UseConfig.
const (
	SameConfig ConfigChange = iota // the same, or nothing runs
	OtherFile
	OtherText // the same file, which has been edited since
)

// UseConfig notes the configuration that programs are going to be started with,
// unless a program of this stack runs: then it says how that one's differs.
func (s *Stack) UseConfig(path, sum string) (ConfigChange, error) {
	now := s.state.get()
	for _, name := range []string{Ingress, Worker} {
		if _, alive := s.state.running(name); !alive {
			continue
		}
		switch {
		case now.Config != path:
			return OtherFile, nil
		case now.ConfigSum != sum:
			return OtherText, nil
		}
		return SameConfig, nil
	}
	return SameConfig, s.state.change(func(now *State) { now.Config, now.ConfigSum = path, sum })
}

// Config gives the configuration file that the programs were started with.
func (s *Stack) Config() string { return s.state.get().Config }

// Claim makes the calling program the owner: once it has ended, Sweep may stop
// what it left.
func (s *Stack) Claim() error {
	self, _ := identify(os.Getpid())
	return s.state.change(func(now *State) { now.Owner = self })
}

// unclaimed is for how long a stack without an owner counts as being made.
const unclaimed = time.Minute

// Owned reports whether the owner of the stack lives, or the stack has only just
// been made.
func (s *Stack) Owned() bool {
	if owner := s.state.get().Owner; owner != (Identity{}) {
		return owner.alive()
	}
	info, err := os.Stat(s.opt.Dir)
	return err == nil && time.Since(info.ModTime()) < unclaimed
}
