package excerpt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"mailroom/shared/blob"
	"mailroom/shared/fault"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// MaxWhole is the size in bytes of the largest parsed mail that is read whole. A raw
// body of the largest sensible configured size does not parse to more.
const MaxWhole = 256 << 20

// Bounds of one Reader: how many mails it reads at a time, and how long a further call
// waits for its turn.
const (
	atOnce   = 4
	turnWait = 5 * time.Second
)

// Usual are the limits of console pages, previews and the tester of rules: headers
// whole, up to more than any real mail has, and the beginning of each text. One byte
// more than 256 KiB shows that a text was cut.
var Usual = Limits{Text: 256<<10 + 1, Total: 8 << 20}

// Objects opens objects of the object store.
type Objects interface {
	Get(ctx context.Context, b blob.Bucket, key string) (io.ReadCloser, error)
}

// Whole reads the parsed mail that a manifest names. It fails with body_too_large if
// the mail is longer than MaxWhole. The mail is empty if nothing was parsed.
func Whole(ctx context.Context, from Objects, m *ledger.Manifest) (*mail.Message, error) {
	encoded, err := open(ctx, from, m)
	if err != nil {
		return nil, err
	}
	defer func() { _ = encoded.Close() }() // it was only read

	short := &io.LimitedReader{R: encoded, N: MaxWhole + 1}
	var message mail.Message
	switch err := json.NewDecoder(short).Decode(&message); {
	case short.N <= 0:
		return nil, fault.Newf(fault.BodyTooLarge, "the parsed email is longer than the limit of %d bytes", MaxWhole)
	case err != nil:
		return nil, fmt.Errorf("decode message of email %d: %w", m.EmailID, err)
	}
	return &message, nil
}

// open opens the parsed mail as JSON, from the ledger or the object store.
func open(ctx context.Context, from Objects, m *ledger.Manifest) (io.ReadCloser, error) {
	switch {
	case m.MessageKey != "":
		object, err := from.Get(ctx, blob.Raw, m.MessageKey)
		if err != nil {
			return nil, fmt.Errorf("read message of email %d: %w", m.EmailID, err)
		}
		return object, nil
	case len(m.Message) == 0:
		return io.NopCloser(bytes.NewReader([]byte("{}"))), nil
	}
	return io.NopCloser(bytes.NewReader(m.Message)), nil
}

// Reader reads the parsed mails of manifests with cut texts, a few at a time, so that
// many concurrent reads stay small.
type Reader struct {
	from   Objects
	limits Limits
	turn   chan struct{}
}

// NewReader returns a Reader of stored mail.
func NewReader(from Objects, limits Limits) *Reader {
	return &Reader{from: from, limits: limits, turn: make(chan struct{}, atOnce)}
}

// Message reads the parsed mail that a manifest names, with its texts cut and its
// headers whole. The mail is empty if nothing was parsed. It fails with body_too_large
// if the headers exceed the limits, and with overloaded if it waited 5 s for its turn.
func (r *Reader) Message(ctx context.Context, m *ledger.Manifest) (*mail.Message, error) {
	wait, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-wait.Done():
		return nil, fault.New(fault.Overloaded, "too many stored emails are being read at the moment; try again").After(turnWait)
	}

	encoded, err := open(ctx, r.from, m)
	if err != nil {
		return nil, err
	}
	defer func() { _ = encoded.Close() }() // it was only read
	message, err := Message(encoded, r.limits)
	if err != nil {
		return nil, fmt.Errorf("read message of email %d: %w", m.EmailID, err)
	}
	return message, nil
}
