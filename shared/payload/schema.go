package payload

import (
	"strings"
	"time"

	"github.com/go-faster/jx"

	"mailroom/shared/mail"
)

// isField has every name of the schema, at the top and in its own objects.
var isField = map[string]bool{
	"event_id": true, "id": true, "type": true, "timestamp": true, "receivedAt": true, "subject": true, "text": true,
	"html": true, "messageId": true, "headers": true, "auth": true, "attachments": true, "raw_mime_base64": true,
	"rawMimeBase64": true, "raw_mime_url": true, "rawMimeUrl": true,
	"mailbox": true, "envelope": true, "sender": true, "recipient": true, "from": true, "to": true, "cc": true,
	"mail_from": true, "rcpt_to": true, "spf": true, "dkim": true, "dmarc": true, "address": true, "name": true,
	"filename": true, "content_type": true, "contentType": true, "size": true, "checksum": true, "content_id": true,
	"contentId": true, "content_base64": true, "dataBase64": true, "url": true,
}

// schema reads the fields of both shapes. Every field has one type whichever of the
// two names it goes by, and a body may mix them; which name counts is settled when
// all are known, because their order is free. Without keep only what Head needs is
// kept, and everything is checked all the same.
type schema struct {
	walker
	keep bool
	// rename gives the names that members are read as, aside those whose place is taken.
	rename map[string]string
	aside  map[string]bool

	eventID, plainID *string
	kind             string
	mailbox          string
	envelope         mail.Envelope
	auth             mail.Auth

	timestamp, receivedAt time.Time
	sender, from          []mail.Address
	recipient, to, cc     []mail.Address
	seenA, seenB          bool // a field that only one shape has

	messageID, subject, text, html string
	headers                        []mail.Header
	headerCount                    int

	attachments []mail.Attachment
	rawMIME     []byte
	rawMIMEURL  string
}

// top reads one field of the body.
func (s *schema) top(name string) error {
	switch name {
	case "event_id":
		return s.id(&s.eventID)
	case "id":
		return s.id(&s.plainID)
	case "type":
		return s.string(&s.kind)
	case "timestamp":
		return s.time(&s.timestamp)
	case "receivedAt":
		return s.time(&s.receivedAt)
	case "subject":
		return s.string(&s.subject)
	case "text":
		return s.string(&s.text)
	case "html":
		return s.string(&s.html)
	case "messageId":
		return s.string(&s.messageID)
	case "headers":
		return s.headerFields()
	case "auth":
		return s.record(s.authField)
	case "attachments":
		return s.list(MaxAttachments, s.attachment)
	case "raw_mime_base64", "rawMimeBase64":
		return s.base64(&s.rawMIME)
	case "raw_mime_url", "rawMimeUrl":
		return s.string(&s.rawMIMEURL)
	default:
		return s.correspondent(name)
	}
}

// correspondent reads a field that says who wrote to whom.
func (s *schema) correspondent(name string) error {
	switch name {
	case "mailbox":
		return s.address(&s.mailbox)
	case "envelope":
		s.seenA = true
		return s.record(s.envelopeField)
	case "sender":
		s.seenA = true
		return s.addresses(&s.sender)
	case "recipient":
		s.seenA = true
		return s.addresses(&s.recipient)
	case "from":
		s.seenB = true
		return s.author()
	case "to":
		s.seenB = true
		return s.addresses(&s.to)
	case "cc":
		s.seenB = true
		return s.addresses(&s.cc)
	default:
		return s.unknownField()
	}
}

func (s *schema) envelopeField(name string) error {
	switch name {
	case "mail_from":
		return s.address(&s.envelope.MailFrom)
	case "rcpt_to":
		return s.recipients(&s.envelope.RcptTo)
	default:
		return s.unknownField()
	}
}

// recipients reads a list of texts. One that is no list but a text counts as its only
// element, although it breaks the schema.
func (s *schema) recipients(to *[]string) error {
	one := func() error {
		var a string
		if err := s.address(&a); err != nil {
			return err
		}
		if a != "" {
			*to = append(*to, a)
		}
		return nil
	}
	if s.d.Next() == jx.String {
		s.wrong("must be an array")
		return one()
	}
	return s.list(MaxRecipients, one)
}

func (s *schema) authField(name string) error {
	switch name {
	case "spf":
		return s.string(&s.auth.SPF)
	case "dkim":
		return s.string(&s.auth.DKIM)
	case "dmarc":
		return s.string(&s.auth.DMARC)
	default:
		return s.unknownField()
	}
}

// headerFields reads {name: value} or {name: [value, …]}. Any name is known there.
func (s *schema) headerFields() error {
	err := s.record(func(name string) error {
		s.foreign()
		name = clean(name)
		if s.d.Next() == jx.Array {
			return s.array(0, func() error { return s.headerField(name) })
		}
		return s.headerField(name)
	})
	if err == nil && s.headerCount > MaxHeaders {
		s.wrong("has %s fields, more than %s", thousands(s.headerCount), thousands(MaxHeaders))
	}
	return err
}

func (s *schema) headerField(name string) error {
	if s.headerCount++; s.headerCount > MaxHeaders {
		return s.skip()
	}
	if null, err := s.null(); null || err != nil {
		return err
	}
	if s.d.Next() != jx.String {
		return s.mismatch("a string or a list of strings")
	}
	var value string
	if err := s.string(&value); err != nil {
		return err
	}
	if s.keep {
		s.headers = append(s.headers, mail.Header{Name: name, Value: value})
	}
	return nil
}

// addresses reads a list whose elements are strings or {address, name}. One such that
// stands there in place of the list counts as its only element, although it breaks
// the schema.
func (s *schema) addresses(to *[]mail.Address) error {
	if next := s.d.Next(); next == jx.String || next == jx.Object {
		s.wrong("must be an array")
		return s.oneAddress(to)
	}
	return s.list(MaxRecipients, func() error { return s.oneAddress(to) })
}

// author reads one {address, name}, and a string or a list of them although those
// break the schema.
func (s *schema) author() error {
	switch s.d.Next() {
	case jx.Object, jx.Null:
		return s.oneAddress(&s.from)
	case jx.String:
		s.wrong("must be an object")
		return s.oneAddress(&s.from)
	case jx.Array:
		s.wrong("must be an object")
		return s.array(MaxRecipients, func() error { return s.oneAddress(&s.from) })
	default:
		return s.mismatch("an object")
	}
}

func (s *schema) oneAddress(to *[]mail.Address) error {
	var a mail.Address
	switch s.d.Next() {
	case jx.Null:
		_, err := s.null()
		return err
	case jx.String:
		b, ok, err := s.bounded(MaxAddress)
		if err != nil {
			return err
		}
		if !ok {
			s.tooLong()
			return nil
		}
		a = parseAddress(string(b))
	case jx.Object:
		if err := s.addressObject(&a); err != nil {
			return err
		}
	default:
		return s.mismatch("an object or a string")
	}

	if a.Address != "" || a.Name != "" && s.keep {
		*to = append(*to, a)
	}

	return nil
}

func (s *schema) addressObject(a *mail.Address) error {
	there := false
	err := s.object(func(name string) error {
		switch name {
		case "address":
			there = s.d.Next() != jx.Null
			return s.address(&a.Address)
		case "name":
			return s.string(&a.Name)
		default:
			return s.unknownField()
		}
	})
	if err == nil && !there {
		s.wrongAt(".address", "is missing")
	}
	return err
}

// event puts the fields together. When both shapes' names are there, those of the
// event's own shape count.
func (s *schema) event() *mail.Event {
	e := &mail.Event{
		Shape: mail.ShapeA, Type: s.kind, Timestamp: s.timestamp, Mailbox: s.mailbox, Envelope: s.envelope, Auth: s.auth,
		Message: mail.Message{
			MessageID: bracketed(s.messageID), Subject: s.subject, Text: s.text, HTML: s.html, Headers: s.headers,
			From: s.sender, To: s.recipient, Cc: s.cc,
		},
		Attachments: s.attachments, RawMIME: s.rawMIME, RawMIMEURL: s.rawMIMEURL, Problems: s.problems,
	}

	m := &e.Message
	b := s.eventID == nil || s.plainID != nil && s.seenB && !s.seenA
	if b {
		e.Shape = mail.ShapeB
	}
	if b && !s.receivedAt.IsZero() || e.Timestamp.IsZero() {
		e.Timestamp = s.receivedAt
	}
	if b && len(s.from) > 0 || len(m.From) == 0 {
		m.From = s.from
	}
	if b && len(s.to) > 0 || len(m.To) == 0 {
		m.To = s.to
	}

	m.From, m.To = append([]mail.Address{}, m.From...), addressed(m.To)
	m.Cc = addressed(m.Cc)
	if len(m.Cc) == 0 {
		m.Cc = nil
	}

	fromHeaders(m)
	return e
}

// addressed leaves out who has a name alone: nothing can be routed by it.
func addressed(list []mail.Address) []mail.Address {
	out := make([]mail.Address, 0, len(list))
	for _, a := range list {
		if a.Address != "" {
			out = append(out, a)
		}
	}
	return out
}

// bracketed gives a message id with its angle brackets (RFC 5322 §3.6.4).
func bracketed(id string) string {
	id = strings.TrimSpace(id)
	if id == "" || strings.ContainsAny(id, "<> \t\r\n") {
		return id
	}
	return "<" + id + ">"
}
