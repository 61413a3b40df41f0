package activities

import (
	"context"
	"errors"
	"fmt"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
)

// StateRecorder writes the state of an email. It is idempotent on Email.ID and
// Sequence, and an older Sequence never overwrites a newer one: that fails with a
// *ledger.Overruled, all else of the change being written.
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

// RecordState writes one change of state, with the decision that led to it. It is idempotent
// on Email.ID and Sequence. The result is nil unless a later change is there already.
func (l *Ledger) RecordState(ctx context.Context, in contract.RecordInput) (out *contract.RecordResult, err error) {
	defer settle(ctx, in.Email, &err)

	err = l.deps.Recorder.Record(ctx, in)
	var by *ledger.Overruled
	switch {
	case errors.As(err, &by):
		return &contract.RecordResult{OverruledBy: by.Sequence}, nil
	case err != nil:
		return nil, fmt.Errorf("record state %s: %w", in.State, err)
	}
	return nil, nil //nolint:nilnil // nothing to say costs no history
}
