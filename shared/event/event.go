package event

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"mailroom/shared/contract"
	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// The bounds of a body. MaxDepth and MaxMembers make it malformed, the others make
// a field invalid.
const (
	MaxDepth       = 64     // levels of objects and arrays
	MaxMembers     = 10_000 // names in one object
	MaxRecipients  = 10_000 // elements of each list of addresses
	MaxAttachments = 1_000
	MaxHeaders     = 1_000 // header fields, repeated ones included
	MaxAddress     = 1_024 // bytes of one address and of the mailbox
	// MaxSize is the largest size of an attachment that a provider may state, the
	// last number that JSON carries exactly (RFC 8259 §6).
	MaxSize = 1<<53 - 1
)

const (
	maxName   = 1_024    // bytes of a name
	maxGap    = 64 << 10 // bytes of white space around a name
	maxNumber = 256      // bytes of a number that is read
	// peekBuffer is what Peek holds of the text at a time.
	peekBuffer = 8 << 10
)

// Options says how strictly a source's events are read.
type Options struct {
	// Strict refuses fields that the schema does not have.
	Strict bool
	// Rename reads members at the top of the body as others, such as "rcpt" as
	// "recipient". A member that is there and is to be read so takes the place of
	// the one that has the name, which is passed over. No two may have one target.
	// Decode alone heeds it.
	Rename map[string]string
}

// Head is what the door needs of an event.
type Head struct {
	ID    string
	Shape mail.Shape
	// Recipients is what mail.Event.Recipients will give.
	Recipients []string
	// Unknown counts the fields that the schema does not have, at the top and in
	// its own objects.
	Unknown int
}

// Peek reads a whole body and judges it, without holding it: its memory is bounded
// by the recipients and names, not by text or attachments. A refusal is a
// *fault.Error of code json_malformed, event_id_missing, event_id_invalid,
// field_invalid or field_unknown; when r itself fails, its error comes back wrapped.
// r is read to its end when the body is accepted.
func Peek(r io.Reader, opt Options) (Head, error) {
	opt.Rename = nil
	return peek(r, opt)
}

func peek(r io.Reader, opt Options) (Head, error) {
	src := newSource(r)
	s := &schema{walker: walker{d: jx.Decode(src, peekBuffer), src: src, seed: maphash.MakeSeed()}}
	e, err := s.read(opt)
	if err != nil {
		return Head{}, err
	}
	return Head{ID: e.ID, Shape: e.Shape, Recipients: e.Recipients(), Unknown: e.Unknown}, nil
}

// Decode reads a body in memory, with the errors of Peek. Strings of the result
// share no memory with body, nor does any content. Attachments have their names
// cleaned; those whose content came along and could be decoded have Content (not
// nil, even of no bytes), Size and SHA256 set, the others have a URL or an entry in
// Problems.
func Decode(body []byte, opt Options) (*mail.Event, error) {
	opt.Rename = present(opt.Rename, body)
	if _, err := peek(bytes.NewReader(body), opt); err != nil {
		return nil, err
	}
	s := &schema{walker: walker{d: jx.DecodeBytes(body), seed: maphash.MakeSeed()}, keep: true}
	return s.read(opt)
}

// read walks the body and settles what only the whole of it can tell.
func (s *schema) read(opt Options) (*mail.Event, error) {
	s.names(opt.Rename)
	if err := s.document(s.member); err != nil {
		if errors.Is(err, errTooLong) && (s.src == nil || s.src.failed == nil) {
			s.wrong(" must be at most %s bytes", thousands(MaxAddress))
			return nil, s.fieldFault
		}
		return nil, s.failure(err)
	}
	id, err := s.chooseID()
	switch {
	case err != nil:
		return nil, err
	case s.fieldFault != nil:
		return nil, s.fieldFault
	case opt.Strict && s.unknown > 0:
		return nil, fault.New(fault.FieldUnknown, "the schema has no field "+s.stranger)
	}
	e := s.event()
	e.ID = id
	e.Unknown = s.unknown
	return e, nil
}

// chooseID settles the id of the event from the names of both shapes.
func (s *schema) chooseID() (string, error) {
	switch {
	case s.idFault != nil:
		return "", s.idFault
	case s.eventID == nil && s.plainID == nil:
		return "", fault.New(fault.EventIDMissing, "the body has neither event_id nor id")
	case s.eventID != nil && s.plainID != nil && *s.eventID != *s.plainID:
		return "", fault.New(fault.EventIDInvalid, "event_id and id are different")
	case s.eventID != nil:
		return *s.eventID, nil
	default:
		return *s.plainID, nil
	}
}

// id reads an event id: 1 to 512 bytes, not white space alone, no control
// character, no line separator, and nothing that decoding has replaced, because two
// ids that differ must stay different.
func (s *schema) id(to **string) error {
	if null, err := s.null(); null || err != nil {
		return err
	}
	if s.d.Next() != jx.String {
		s.wrongID(" must be a string")
		return s.skip()
	}
	b, err := s.bounded(contract.MaxEventID)
	if errors.Is(err, errTooLong) {
		s.wrongID(" must be at most 512 bytes")
		return s.idFault
	}
	if err != nil {
		return err
	}
	id := string(b)
	*to = &id
	switch {
	case strings.TrimSpace(id) == "":
		s.wrongID(" must not be empty")
	case strings.ContainsFunc(id, notInID):
		s.wrongID(" must not have control characters, line separators or U+FFFD")
	}
	return nil
}

func notInID(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || r == utf8.RuneError
}

func (s *schema) wrongID(why string) {
	if s.idFault == nil {
		s.idFault = fault.New(fault.EventIDInvalid, s.where()+why)
	}
}
