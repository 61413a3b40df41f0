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
	// RecordSignals is idempotent on Email.ID and the names of the signals.
	RecordSignals(ctx context.Context, in contract.SignalsInput) error
}

// Record writes the states of emails to the ledger.
type Record struct{ recorder StateRecorder }

// NewRecord returns a Record that writes through recorder.
func NewRecord(recorder StateRecorder) (*Record, error) {
	if recorder == nil {
		return nil, errors.New("record: the recorder is missing")
	}
	return &Record{recorder: recorder}, nil
}

// RecordState writes one change of state, with the decision that led to it. It is idempotent
// on Email.ID and Sequence. The result is nil unless a later change is there already.
func (r *Record) RecordState(ctx context.Context, in contract.RecordInput) (out *contract.RecordResult, err error) {
	defer translateError(ctx, in.Email, &err)

	err = r.recorder.Record(ctx, in)
	var by *ledger.Overruled
	switch {
	case errors.As(err, &by):
		return &contract.RecordResult{OverruledBy: by.Sequence}, nil
	case err != nil:
		return nil, fmt.Errorf("record state %s: %w", in.State, err)
	}
	return nil, nil //nolint:nilnil // no result costs no history
}

// RecordSignals writes how many signals came that the email's workflow does not know. It is
// idempotent on Email.ID and the names of the signals.
func (r *Record) RecordSignals(ctx context.Context, in contract.SignalsInput) (err error) {
	defer translateError(ctx, in.Email, &err)

	if err := r.recorder.RecordSignals(ctx, in); err != nil {
		return fmt.Errorf("record signals: %w", err)
	}
	return nil
}
