package activities

import (
	"context"
	"fmt"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// reread reads the raw body of an email as Store would today, and writes nothing.
// The manifest has the names that its objects would have.
func (s *Store) reread(ctx context.Context, email contract.Email) (*ledger.Manifest, *mail.Message, []contract.Hold, error) {
	release, err := s.reserve(ctx, email.Size)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("wait for memory: %w", err)
	}
	defer release()

	body, err := s.deps.Ledger.Body(ctx, email.ID)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read body: %w", err)
	}
	raw, err := s.readRaw(ctx, email, body)
	if err != nil {
		return nil, nil, nil, err
	}
	event, holds, err := s.decode(ctx, email, raw, body.Overlay)
	if err != nil {
		return nil, nil, nil, err
	}

	m := ledger.Manifest{EmailID: email.ID, ReceivedAt: body.ReceivedAt, RawKey: body.Key}
	var unwritten objects
	m.Attachments = unwritten.attachments(event.Attachments)
	if err := describeMessage(&m, event, &unwritten); err != nil {
		return nil, nil, nil, err
	}
	return &m, &event.Message, holds, nil
}
