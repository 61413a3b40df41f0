package ingress

import (
	"context"
	"encoding/json"
	"fmt"

	"mailroom/ingress/operator/desks"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// maxMessage is the largest parsed mail that is read back, in bytes.
const maxMessage = 256 << 20

// newDesks makes what answers about destinations, routes and the overview.
func newDesks(file *config.File, d dependencies, measured desks.Acks) (*desks.Desks, error) {
	return desks.New(
		desks.Config{Destinations: file.Destinations, Routes: file.Routes, Tenants: file.Tenants},
		desks.Deps{Ledger: d.reader, Messages: messages{d.bodies}, Acks: measured})
}

// messages reads parsed mail for the tester of rules.
type messages struct{ store *blob.Store }

// Message implements desks.Messages.
func (m messages) Message(ctx context.Context, manifest *ledger.Manifest) (*mail.Message, error) {
	encoded := manifest.Message
	if manifest.MessageKey != "" {
		var err error
		if encoded, err = m.store.ReadAll(ctx, blob.Raw, manifest.MessageKey, maxMessage, ""); err != nil {
			return nil, fmt.Errorf("read message of email %d: %w", manifest.EmailID, err)
		}
	}
	var message mail.Message
	if len(encoded) == 0 {
		return &message, nil
	}
	if err := json.Unmarshal(encoded, &message); err != nil {
		return nil, fmt.Errorf("decode message of email %d: %w", manifest.EmailID, err)
	}
	return &message, nil
}
