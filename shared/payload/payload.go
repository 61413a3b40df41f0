package payload

import (
	"bytes"
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

// The bounds of a body. What goes beyond one is a breach.
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
	maxName   = 1_024 // bytes of a name
	maxNumber = 256   // bytes of a number that is read
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
	// Breaches counts the ways in which the body breaks the schema. Decode returns them
	// among the problems.
	Breaches int
}

// Peek reads a whole body and judges it, without holding it: its memory is bounded
// by the recipients and names and by one bit for each level that is too deep, not by
// text or attachments. A refusal is a *fault.Error of code json_malformed,
// event_id_missing or event_id_invalid, with Strict also field_invalid or
// field_unknown; when r itself fails, its error comes back wrapped.
// r is read to its end when the body is accepted.
func Peek(r io.Reader, opt Options) (Head, error) {
	opt.Rename = nil
	head, _, err := peek(r, opt)
	return head, err
}

func peek(r io.Reader, opt Options) (Head, bool, error) {
	src := newSource(r)
	s := &schema{walker: walker{d: jx.Decode(src, peekBuffer), src: src, seed: maphash.MakeSeed()}}
	e, err := s.read(opt)
	if err != nil {
		return Head{}, s.deep, err
	}
	return Head{ID: e.ID, Shape: e.Shape, Recipients: e.Recipients(), Unknown: e.Unknown, Breaches: s.breaches}, s.deep, nil
}

// Decode reads a body in memory, with the errors of Peek. Strings of the result
// share no memory with body, nor does any content. Attachments have their names
// cleaned; those whose content came along and could be decoded have Content (not
// nil, even of no bytes), Size and SHA256 set, the others have a URL or an entry in
// Problems. A body with values that are too deep is copied without them.
func Decode(body []byte, opt Options) (*mail.Event, error) {
	if len(opt.Rename) > 0 {
		body = shallow(body)
		opt.Rename = present(opt.Rename, body)
	}
	_, deep, err := peek(bytes.NewReader(body), opt)
	if err != nil {
		return nil, err
	}
	if deep && len(opt.Rename) == 0 {
		body = shallow(body)
	}
	s := &schema{walker: walker{d: jx.DecodeBytes(body), seed: maphash.MakeSeed()}, keep: true}
	return s.read(opt)
}

// read walks the body and settles what only the whole of it can tell.
func (s *schema) read(opt Options) (*mail.Event, error) {
	s.names(opt.Rename)
	if err := s.document(s.member); err != nil {
		return nil, s.failure(err)
	}
	id, err := s.chooseID()
	switch {
	case err != nil:
		return nil, err
	case opt.Strict && s.refusal != nil:
		return nil, s.refusal
	case opt.Strict && s.stranger != nil:
		return nil, s.stranger
	}
	e := s.event()
	e.ID = id
	e.Unknown = s.unknown
	e.MoreProblems = max(0, s.breaches-maxProblems)
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

	b, ok, err := s.bounded(contract.MaxEventID)
	if err != nil {
		return err
	}
	if !ok {
		s.wrongID(" must be at most 512 bytes")
		return nil
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
		s.idFault = fault.New(fault.EventIDInvalid, s.where(true)+why)
	}
}
