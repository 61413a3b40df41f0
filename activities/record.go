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

// LedgerDeps is what Ledger needs; all of it is required.
type LedgerDeps struct {
	Recorder StateRecorder
	Edits    EditKeeper
}

// Ledger keeps the ledger's picture of an email up to date.
type Ledger struct{ deps LedgerDeps }

// NewLedger checks that nothing is missing.
func NewLedger(deps LedgerDeps) (*Ledger, error) {
	if deps.Recorder == nil || deps.Edits == nil {
		return nil, errors.New("ledger: a dependency is missing")
	}
	return &Ledger{deps: deps}, nil
}

// Record writes one change of state, with the decision that led to it. It is
// idempotent on Email.ID and Sequence.
func (l *Ledger) Record(ctx context.Context, in contract.RecordInput) (err error) {
	defer settle(ctx, in.Email, &err)

	if err := l.deps.Recorder.Record(ctx, in); err != nil {
		return fmt.Errorf("record state %s: %w", in.State, err)
	}
	return nil
}
