package activities

import (
	"context"
	"fmt"

	"mailroom/shared/contract"
)

// EditKeeper keeps what people lay over an email.
type EditKeeper interface {
	// SaveEdit writes an edit down, once for each key; it changes nothing yet. One
	// that cannot be laid over the email is request_invalid.
	SaveEdit(ctx context.Context, in contract.SaveEditInput) (contract.SaveEditResult, error)
	// ApplyEdit lays it over the email; a repeat changes nothing.
	ApplyEdit(ctx context.Context, in contract.ApplyEditInput) error
}

// SaveEdit keeps an edit that came with a signal or an update, past our programs,
// which keep theirs themselves. It is idempotent on Email.ID and Key.
func (l *Ledger) SaveEdit(ctx context.Context, in contract.SaveEditInput) (out contract.SaveEditResult, err error) {
	defer settle(ctx, in.Email, &err)

	if out, err = l.deps.Edits.SaveEdit(ctx, in); err != nil {
		return contract.SaveEditResult{}, fmt.Errorf("save edit: %w", err)
	}
	return out, nil
}

// ApplyEdit lays a kept edit over its email once the decision that it came with
// was taken. It is idempotent on EditID. Every step that begins after it has
// answered reads the email through the edit.
func (l *Ledger) ApplyEdit(ctx context.Context, in contract.ApplyEditInput) (err error) {
	defer settle(ctx, in.Email, &err)

	if err := l.deps.Edits.ApplyEdit(ctx, in); err != nil {
		return fmt.Errorf("apply edit %d: %w", in.EditID, err)
	}
	return nil
}
