package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"time"

	"mailroom/shared/ledger"
	"mailroom/shared/program"
)

const (
	// controlEvery is how often a worker reads pauses and publishes the state of its
	// destinations.
	controlEvery  = 2 * time.Second
	controlWithin = 5 * time.Second
)

// controlledSender pauses destinations and knows their state.
type controlledSender interface {
	Obey(controls []ledger.Control)
	Status() []ledger.DestinationStatus
}

// controlLedger holds the pauses that operators set and the state that workers publish.
type controlLedger interface {
	Controls(ctx context.Context) ([]ledger.Control, error)
	SaveDestinationStatus(ctx context.Context, worker string, list []ledger.DestinationStatus) error
}

// followControls keeps the sender at the pauses that operators set. It returns after it
// has read them for the first time: nothing is sent before.
func followControls(ctx context.Context, p *program.Program, sender controlledSender, l controlLedger) error {
	s := controlSync{worker: workerName(), sender: sender, ledger: l, logger: p.Logger}
	err := p.Await(ctx, "destination controls", func(ctx context.Context) error {
		return program.UnlessUnavailable(s.sync(ctx))
	})
	if err != nil {
		return err
	}
	p.Background(ctx, func(ctx context.Context) { s.repeat(ctx, controlEvery) })
	return nil
}

// controlSync applies the controls in the ledger to a sender, and publishes its state.
type controlSync struct {
	worker string // workerName
	sender controlledSender
	ledger controlLedger
	logger *slog.Logger
}

// workerName tells one worker process from another, also on the same machine.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	var id [3]byte
	_, _ = rand.Read(id[:]) // never fails
	return host + "-" + hex.EncodeToString(id[:])
}

// sync applies the controls, then publishes the state: a worker must not publish against
// a control that it has not read.
func (s controlSync) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, controlWithin)
	defer cancel()

	controls, err := s.ledger.Controls(ctx)
	if err != nil {
		return err
	}
	s.sender.Obey(controls)
	return s.ledger.SaveDestinationStatus(ctx, s.worker, s.sender.Status())
}

// repeat calls sync until ctx is done. While the database is unavailable the controls
// that were read last apply.
func (s controlSync) repeat(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.sync(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.logger.Warn("destinations.not_synchronized", "error", err)
		}
		failing = err != nil
	}
}
