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
	// controlEvery is how soon a worker learns of a pause or a resume, and how
	// often it tells how its destinations do.
	controlEvery  = 2 * time.Second
	controlWithin = 5 * time.Second
)

// controlled is what sends, as far as people steer it.
type controlled interface {
	Obey(controls []ledger.Control)
	Status() []ledger.DestinationStatus
}

// controlLedger is where a worker reads what people said, and says how it does.
type controlLedger interface {
	Controls(ctx context.Context) ([]ledger.Control, error)
	SaveDestinationStatus(ctx context.Context, worker string, list []ledger.DestinationStatus) error
}

// steer begins to obey what people say of destinations. It returns once that was
// read for the first time: nothing is sent before.
func steer(ctx context.Context, p *program.Program, sender controlled, l controlLedger) error {
	s := steering{name: workerName(), sender: sender, ledger: l, logger: p.Logger}
	err := p.Await(ctx, "destination controls", func(ctx context.Context) error {
		return program.UnlessUnavailable(s.round(ctx))
	})
	if err != nil {
		return err
	}
	p.Background(ctx, func(ctx context.Context) { s.keep(ctx, controlEvery) })
	return nil
}

// steering keeps a sender and the ledger informed of each other.
type steering struct {
	name   string // of this worker
	sender controlled
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

// round obeys what was said and tells how things are, in this order: what a worker
// has not read it must not act against.
func (s steering) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, controlWithin)
	defer cancel()
	controls, err := s.ledger.Controls(ctx)
	if err != nil {
		return err
	}
	s.sender.Obey(controls)
	return s.ledger.SaveDestinationStatus(ctx, s.name, s.sender.Status())
}

// keep goes round until ctx is done. While the ledger is away the last word holds.
func (s steering) keep(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := s.round(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.logger.Warn("destinations.not_steered", "error", err)
		}
		failing = err != nil
	}
}
