package payload

import (
	"bytes"
	"io"

	"github.com/go-faster/jx"

	"mailroom/shared/mail"
)

// The bounds of a body. Exceeding one is a breach.
const (
	MaxDepth       = 64     // levels of objects and arrays
	MaxMembers     = 10_000 // names in one object
	MaxRecipients  = 10_000 // elements of each list of addresses
	MaxAttachments = 1_000
	MaxHeaders     = 1_000 // header fields, repeated ones included
	MaxAddress     = 1_024 // bytes of one address and of the mailbox
	// MaxSize is the largest size of an attachment that a provider may declare, the
	// largest integer that is exact in JSON (RFC 8259 §6).
	MaxSize = 1<<53 - 1
)

const (
	maxName   = 1_024 // bytes of a name
	maxNumber = 256   // bytes of a number that is read
	// peekBuffer is the size in bytes of Peek's buffer.
	peekBuffer = 8 << 10
)

// Options are the options of a source or an edit.
type Options struct {
	// Strict refuses fields that the schema does not have.
	Strict bool
	// Rename maps top-level members to the names as which they are read, such as
	// "rcpt" to "recipient". A renamed member replaces the one that has the name. No
	// two may have the same target. Only Decode uses it.
	Rename map[string]string
}

// Head is what the ingress needs to know about an event.
type Head struct {
	ID    string
	Shape mail.Shape
	// Recipients is what mail.Event.Recipients returns for the decoded event.
	Recipients []string
	// Unknown is the number of fields that are not in the schema, at the top level and
	// in its objects.
	Unknown int
	// Breaches is the number of violations of the schema. Decode returns them among the
	// problems.
	Breaches int
}

// Peek reads and checks a whole body without holding it in memory: its memory grows with
// the recipients and names, and by one bit for each level of nesting that is too deep,
// but not with text or attachments. It refuses a body with json_malformed,
// event_id_missing or event_id_invalid, with Strict also with field_invalid or
// field_unknown. An error of r is returned wrapped. If the body is accepted, r has been
// read to its end.
func Peek(r io.Reader, opt Options) (Head, error) {
	opt.Rename = nil
	head, _, err := peek(r, opt)
	return head, err
}

func peek(r io.Reader, opt Options) (Head, bool, error) {
	src := newSource(r)
	s := newSchema(walker{d: jx.Decode(src, peekBuffer), src: src}, false)
	e, err := s.read(opt)
	if err != nil {
		return Head{}, s.tooDeep, err
	}
	return Head{ID: e.ID, Shape: e.Shape, Recipients: e.Recipients(), Unknown: e.Unknown, Breaches: s.breaches}, s.tooDeep, nil
}

// Decode reads a body in memory; its errors are those of Peek. The result shares no
// memory with body. Names of attachments are cleaned. An attachment whose content is in
// the body and can be decoded has Content (not nil, even if empty), Size and SHA256; any
// other has a URL or an entry in Problems. A body with values that are too deep is
// copied without them.
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
	s := newSchema(walker{d: jx.DecodeBytes(body)}, true)
	return s.read(opt)
}

// read reads the body and checks what depends on all of it.
func (s *schema) read(opt Options) (*mail.Event, error) {
	s.setRename(opt.Rename)
	if err := s.document(s.member); err != nil {
		return nil, s.failure(err)
	}
	if s.idFault != nil {
		return nil, s.idFault
	}

	id, err := s.chooseID()
	switch {
	case err != nil:
		return nil, err
	case opt.Strict && s.refusal != nil:
		return nil, s.refusal
	case opt.Strict && s.unknownFault != nil:
		return nil, s.unknownFault
	}

	e := s.event()
	e.ID = id
	e.Problems = s.problems
	e.Unknown = s.unknown
	e.MoreProblems = max(0, s.breaches-maxProblems)
	return e, nil
}
