package stack

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"mailroom/deploy/dev/process"
)

// UseConfig records the configuration file with which the programs are going to be
// started. While a program runs it changes nothing: another file is an error, and the same
// file with another text is said on the console.
func (s *Stack) UseConfig(path string) error {
	text, err := os.ReadFile(path) //nolint:gosec // the caller's own file
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	hash := sha256.Sum256(text)
	sum, now := hex.EncodeToString(hash[:]), s.State()

	switch {
	case !s.Alive(Ingress) && !s.Alive(Worker) && !s.Alive(All):
		return s.Change(func(now *process.State) { now.Config, now.ConfigSum = path, sum })
	case now.Config != path:
		return fmt.Errorf("the stack runs with the configuration %s: restart ingress and worker with the other one (restart)", now.Config)
	case now.ConfigSum != sum:
		s.opt.Console.Say("NOTE: the configuration has changed since the start: a restart of ingress and worker (restart) applies it")
	}
	return nil
}

// ChangeConfig records the configuration file with which running programs are going to be
// restarted.
func (s *Stack) ChangeConfig(path string) error {
	text, err := os.ReadFile(path) //nolint:gosec // the caller's own file
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	sum := sha256.Sum256(text)
	return s.Change(func(now *process.State) { now.Config, now.ConfigSum = path, hex.EncodeToString(sum[:]) })
}
