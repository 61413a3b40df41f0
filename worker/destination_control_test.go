package worker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/program"
)

// recorded is a sender and a ledger that record their calls.
type recorded struct {
	controls []ledger.Control
	fail     int
	events   chan string
	saved    []ledger.DestinationStatus
}

func (s *recorded) Obey(list []ledger.Control) {
	if len(list) == 1 && list[0].Paused {
		s.events <- "obeyed"
	}
}

func (s *recorded) Status() []ledger.DestinationStatus {
	return []ledger.DestinationStatus{{Destination: "crm", Breaker: ledger.BreakerClosed}}
}

func (s *recorded) Controls(context.Context) ([]ledger.Control, error) {
	if s.fail > 0 {
		s.fail--
		return nil, fault.New(fault.StorageUnavailable, "away")
	}
	return s.controls, nil
}

func (s *recorded) SaveDestinationStatus(_ context.Context, worker string, list []ledger.DestinationStatus) error {
	s.saved = list
	s.events <- "saved " + worker
	return nil
}

func TestControlsAreReadBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	s := &recorded{controls: []ledger.Control{{Destination: "crm", Paused: true}}, fail: 1, events: make(chan string, 100)}
	p := &program.Program{Config: program.Config{Logger: slog.New(slog.DiscardHandler)}}
	require.NoError(t, followControls(t.Context(), p, s, s))
	require.Equal(t, "obeyed", <-s.events)
	require.Contains(t, <-s.events, "saved ")
	require.Equal(t, s.Status(), s.saved)
	require.NoError(t, p.Close())
}

func TestControlSyncContinuesAfterFailures(t *testing.T) {
	t.Parallel()
	s := &recorded{controls: []ledger.Control{{Destination: "crm", Paused: true}}, fail: 3, events: make(chan string)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go controlSync{worker: "w", sender: s, ledger: s, logger: slog.New(slog.DiscardHandler)}.repeat(ctx, time.Millisecond)
	for range 2 {
		require.Equal(t, "obeyed", <-s.events)
		require.Equal(t, "saved w", <-s.events)
	}
}
