package activities

import (
	"context"
	"errors"
	"fmt"

	"mailroom/shared/contract"
)

// EditKeeper keeps the edits of emails.
type EditKeeper interface {
	// SaveEdit writes an edit down, once for each key; it changes nothing yet. One
	// that cannot be laid over the email is request_invalid.
	SaveEdit(ctx context.Context, in contract.SaveEditInput) (contract.SaveEditResult, error)
	// ApplyEdit lays it over the email; a repeat changes nothing.
	ApplyEdit(ctx context.Context, in contract.ApplyEditInput) error
}

// Edits saves edits and lays them over emails.
type Edits struct{ keeper EditKeeper }

// NewEdits returns Edits that write through keeper.
func NewEdits(keeper EditKeeper) (*Edits, error) {
	if keeper == nil {
		return nil, errors.New("edits: the keeper is missing")
	}
	return &Edits{keeper: keeper}, nil
}

// SaveEdit saves an edit that came with a signal or an update straight to Temporal; our
// programs save theirs themselves. It is idempotent on Email.ID and Key.
func (e *Edits) SaveEdit(ctx context.Context, in contract.SaveEditInput) (out contract.SaveEditResult, err error) {
	defer translateError(ctx, in.Email, &err)

	if out, err = e.keeper.SaveEdit(ctx, in); err != nil {
		return contract.SaveEditResult{}, fmt.Errorf("save edit: %w", err)
	}
	return out, nil
}

// ApplyEdit lays a saved edit over its email once the decision that it came with was
// taken. It is idempotent on EditID. Every step that begins after it has
// answered reads the email through the edit.
func (e *Edits) ApplyEdit(ctx context.Context, in contract.ApplyEditInput) (err error) {
	defer translateError(ctx, in.Email, &err)

	if err := e.keeper.ApplyEdit(ctx, in); err != nil {
		return fmt.Errorf("apply edit %d: %w", in.EditID, err)
	}
	return nil
}
