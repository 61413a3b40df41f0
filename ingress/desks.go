package ingress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"mailroom/ingress/operator/desks"
	"mailroom/shared/blob"
	"mailroom/shared/config"
	"mailroom/shared/excerpt"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// What the tester of rules reads of a parsed mail: its headers whole, as far as they
// are no longer than anybody's, and the beginning of its text. readers of them are at
// work at a time, and one waits readerWait for its turn.
const (
	testedText  = 256 << 10
	testedTotal = 8 << 20
	readers     = 2
	readerWait  = 5 * time.Second
)

// newDesks makes what answers about destinations, routes and the overview.
func newDesks(file *config.File, d dependencies, measured desks.Acks) (*desks.Desks, error) {
	return desks.New(
		desks.Config{Destinations: file.Destinations, Routes: file.Routes, Tenants: file.Tenants},
		desks.Deps{Ledger: d.reader, Messages: newMessages(d.bodies), Acks: measured})
}

// objects opens objects of the object store.
type objects interface {
	Get(ctx context.Context, b blob.Bucket, key string) (io.ReadCloser, error)
}

// messages reads parsed mail for the tester of rules, in bounded memory.
type messages struct {
	store objects
	turn  chan struct{}
}

func newMessages(store objects) messages { return messages{store, make(chan struct{}, readers)} }

// Message implements desks.Messages. Texts are cut; headers are whole or it fails.
func (m messages) Message(ctx context.Context, manifest *ledger.Manifest) (*mail.Message, error) {
	wait, cancel := context.WithTimeout(ctx, readerWait)
	defer cancel()
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-wait.Done():
		return nil, fault.New(fault.Overloaded, "too many stored emails are being read at the moment").After(readerWait)
	}

	var encoded io.Reader = bytes.NewReader(manifest.Message)
	if manifest.MessageKey != "" {
		object, err := m.store.Get(ctx, blob.Raw, manifest.MessageKey)
		if err != nil {
			return nil, fmt.Errorf("read message of email %d: %w", manifest.EmailID, err)
		}
		defer func() { _ = object.Close() }() // it was only read
		encoded = object
	} else if len(manifest.Message) == 0 {
		return &mail.Message{}, nil
	}

	message, err := excerpt.Message(encoded, excerpt.Limits{Text: testedText, Total: testedTotal})
	if err != nil {
		return nil, fmt.Errorf("read message of email %d: %w", manifest.EmailID, err)
	}
	return message, nil
}
