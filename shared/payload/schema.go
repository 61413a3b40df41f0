package payload

import (
	"hash/maphash"

	"github.com/go-faster/jx"

	"mailroom/shared/mail"
)

// isField has every name of the schema, at the top level and in its objects.
var isField = map[string]bool{
	"event_id": true, "id": true, "type": true, "timestamp": true, "receivedAt": true, "subject": true, "text": true,
	"html": true, "messageId": true, "headers": true, "auth": true, "attachments": true, "raw_mime_base64": true,
	"rawMimeBase64": true, "raw_mime_url": true, "rawMimeUrl": true,
	"mailbox": true, "envelope": true, "sender": true, "recipient": true, "from": true, "to": true, "cc": true,
	"mail_from": true, "rcpt_to": true, "spf": true, "dkim": true, "dmarc": true, "address": true, "name": true,
	"filename": true, "content_type": true, "contentType": true, "size": true, "checksum": true, "content_id": true,
	"contentId": true, "content_base64": true, "dataBase64": true, "url": true,
}

// schema reads the fields of both shapes. A field has one type under either name, and a
// body may mix the names. It builds on addressReader, that on values, walker and report:
// each knows less about events and more about JSON.
type schema struct {
	addressReader
	fields

	rename map[string]string // the names that members are read as
	aside  map[string]bool   // the members that a renamed one replaces
	// headerCount is the number of header fields, kept or not.
	headerCount int
}

// newSchema returns a reader of one event. Without keep it keeps only what Head needs,
// and still checks everything.
func newSchema(w walker, keep bool) schema {
	w.seed = maphash.MakeSeed()
	return schema{addressReader: addressReader{values{walker: w, keep: keep}}}
}

// topField reads one field of the body.
func (s *schema) topField(name string) error {
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

// correspondent reads a field with senders or recipients.
func (s *schema) correspondent(name string) error {
	switch name {
	case "mailbox":
		return s.address(&s.mailbox)
	case "envelope":
		s.seenA = true
		return s.record(s.envelopeField)
	case "sender":
		s.seenA = true
		return s.addressList(&s.sender)
	case "recipient":
		s.seenA = true
		return s.addressList(&s.recipient)
	case "from":
		s.seenB = true
		return s.author()
	case "to":
		s.seenB = true
		return s.addressList(&s.to)
	case "cc":
		s.seenB = true
		return s.addressList(&s.cc)
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

// headerFields reads {name: value} or {name: [value, …]}. Every name is allowed.
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

// author reads one {address, name}. A string, or a list, is accepted too, and is a
// breach.
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
