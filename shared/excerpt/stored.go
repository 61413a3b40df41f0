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

// MaxWhole is the largest parsed mail in bytes that is read whole: a raw body of the
// largest size that is sensible to configure does not parse to more.
const MaxWhole = 256 << 20

// Bounds of the readings of one Reader: how many are at work at a time, and how long
// another one waits for its turn.
const (
	atOnce   = 4
	turnWait = 5 * time.Second
)

// Usual is what pages, previews and the tester of rules read of a mail: its headers
// whole, as far as they are no longer than anybody's, and the beginning of its texts.
// A text that is longer than 256 KiB is read as longer.
var Usual = Limits{Text: 256<<10 + 1, Total: 8 << 20}

// Objects opens objects of the object store.
type Objects interface {
	Get(ctx context.Context, b blob.Bucket, key string) (io.ReadCloser, error)
}

// Whole reads the parsed mail that a manifest names, at most MaxWhole bytes; a larger
// one is body_too_large. The mail is empty where nothing was parsed.
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
		return nil, fault.Newf(fault.BodyTooLarge, "the parsed email is longer than the %d bytes that are read", MaxWhole)
	case err != nil:
		return nil, fmt.Errorf("decode message of email %d: %w", m.EmailID, err)
	}
	return &message, nil
}

// open opens the parsed mail as JSON, wherever it lies.
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

// Reader reads the parsed mails of manifests with their texts cut, a few at a time, so
// that many readings of large mails stay small.
type Reader struct {
	from   Objects
	limits Limits
	turn   chan struct{}
}

// NewReader makes a Reader.
func NewReader(from Objects, limits Limits) *Reader {
	return &Reader{from: from, limits: limits, turn: make(chan struct{}, atOnce)}
}

// Message reads the parsed mail that a manifest names; it is empty where nothing was
// parsed. Texts are cut, headers are whole: where they are longer than the limits
// allow it fails with body_too_large. It waits 5 s at most for its turn and fails with
// overloaded then.
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
