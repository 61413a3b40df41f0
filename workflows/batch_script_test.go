package workflows_test

import (
	"context"
	"errors"
	"sync"

	"mailroom/shared/contract"
)

// manyScript stands for the activities of Replay and Maintenance. It keeps the row of one
// replay, of which each part does ten emails, as the ledger would.
type manyScript struct {
	mu          sync.Mutex
	row         contract.ReplayProgress
	chunks      []contract.ReplayChunkInput // one for each part that ran
	during      func(part int)              // called in each part, before it does anything
	fails       error                       // what every part ends with
	runs        map[string]int
	unavailable bool // releasing fails

	controlled chan struct{} // is sent to whenever the row was changed by a control
}

const perChunk = 10

func newManyScript(total int64) *manyScript {
	return &manyScript{
		row:  contract.ReplayProgress{State: contract.ReplayRunning, Total: total},
		runs: map[string]int{}, controlled: make(chan struct{}, 16),
	}
}

func (s *manyScript) progress() contract.ReplayProgress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.row
}

func (s *manyScript) parts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.chunks)
}

// ReplayChunk does ten more emails unless the replay is paused or at its end.
func (s *manyScript) ReplayChunk(_ context.Context, in contract.ReplayChunkInput) (contract.ReplayChunkResult, error) {
	s.mu.Lock()
	s.chunks = append(s.chunks, in)
	n := len(s.chunks)
	s.mu.Unlock()
	if s.during != nil {
		s.during(n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return contract.ReplayChunkResult{}, s.fails
	}
	if s.row.State == contract.ReplayRunning {
		s.row.Done = min(s.row.Done+perChunk, s.row.Total)
		if s.row.Done == s.row.Total {
			s.row.State = contract.ReplayDone
		}
	}
	return contract.ReplayChunkResult{Progress: s.row, DueUnixMicro: in.DueUnixMicro + 1}, nil
}

// PreviewReplay ends a dry run.
func (s *manyScript) PreviewReplay(_ context.Context, in contract.ReplayChunkInput) (contract.ReplayChunkResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chunks = append(s.chunks, in)
	s.row.State = contract.ReplayDone
	return contract.ReplayChunkResult{Progress: s.row}, nil
}

// ControlReplay does what the statement of the ledger does.
func (s *manyScript) ControlReplay(_ context.Context, in contract.ReplayControlInput) (contract.ReplayProgress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.row.State.Final() {
		return s.row, errors.New("at its end")
	}
	defer func() { s.controlled <- struct{}{} }()
	if in.State != "" {
		s.row.State = in.State
	}
	if in.Rate != nil {
		s.row.Rate = *in.Rate
	}
	return s.row, nil
}

func (s *manyScript) ran(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[what]++
}

func (s *manyScript) StartReplays(context.Context, contract.MaintenanceInput) (contract.MaintenanceResult, error) {
	s.ran("start")
	return contract.MaintenanceResult{Started: 1}, nil
}

func (s *manyScript) ReleaseRecovered(context.Context, contract.MaintenanceInput) (contract.MaintenanceResult, error) {
	s.ran("bring back")
	if s.unavailable {
		return contract.MaintenanceResult{}, errors.New("the ledger is unavailable")
	}
	return contract.MaintenanceResult{Causes: 2, Released: 1}, nil
}

func (s *manyScript) Purge(context.Context, contract.MaintenanceInput) (contract.MaintenanceResult, error) {
	s.ran("purge")
	return contract.MaintenanceResult{Removed: 3, Objects: 4}, nil
}
