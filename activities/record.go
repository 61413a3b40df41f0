package activities

import (
	"context"
	"errors"
	"fmt"

	"mailroom/shared/contract"
)

// StateRecorder writes the state of an email. It is idempotent on Email.ID and
// Sequence, and an older Sequence never overwrites a newer one.
type StateRecorder interface {
	Record(ctx context.Context, in contract.RecordInput) error
}

// Ledger keeps the ledger's picture of an email up to date.
type Ledger struct {
	recorder StateRecorder
}

// NewLedger makes the activity. recorder must not be nil.
func NewLedger(recorder StateRecorder) (*Ledger, error) {
	if recorder == nil {
		return nil, errors.New("ledger: a recorder is missing")
	}
	return &Ledger{recorder: recorder}, nil
}

// Record writes one change of state, with the decision that led to it. It is
// idempotent on Email.ID and Sequence.
func (l *Ledger) Record(ctx context.Context, in contract.RecordInput) (err error) {
	defer settle(ctx, in.Email, &err)

	if err := l.recorder.Record(ctx, in); err != nil {
		return fmt.Errorf("record state %s: %w", in.State, err)
	}
	return nil
}
