package payload

import (
	netmail "net/mail"
	"strings"
	"time"

	"mailroom/shared/fault"
	"mailroom/shared/mail"
)

// fields are the fields of an event, under the names of both shapes. event chooses
// between the names when all are known, because their order is free.
type fields struct {
	eventID, plainID *string
	kind             string
	mailbox          string
	envelope         mail.Envelope
	auth             mail.Auth

	timestamp, receivedAt time.Time
	sender, from          []mail.Address
	recipient, to, cc     []mail.Address
	seenA, seenB          bool // there is a field that only one shape has

	messageID, subject, text, html string
	headers                        []mail.Header

	attachments []mail.Attachment
	rawMIME     []byte
	rawMIMEURL  string
}

// chooseID returns the id of the event, from the names of both shapes.
func (f *fields) chooseID() (string, error) {
	switch {
	case f.eventID == nil && f.plainID == nil:
		return "", fault.New(fault.EventIDMissing, "the body has neither event_id nor id")
	case f.eventID != nil && f.plainID != nil && *f.eventID != *f.plainID:
		return "", fault.New(fault.EventIDInvalid, "event_id and id are different")
	case f.eventID != nil:
		return *f.eventID, nil
	default:
		return *f.plainID, nil
	}
}

// event returns the event. If a field has the names of both shapes, the one of the
// event's own shape counts.
func (f *fields) event() *mail.Event {
	e := &mail.Event{
		Shape: mail.ShapeA, Type: f.kind, Timestamp: f.timestamp, Mailbox: f.mailbox, Envelope: f.envelope, Auth: f.auth,
		Message: mail.Message{
			MessageID: bracketed(f.messageID), Subject: f.subject, Text: f.text, HTML: f.html, Headers: f.headers,
			From: f.sender, To: f.recipient, Cc: f.cc,
		},
		Attachments: f.attachments, RawMIME: f.rawMIME, RawMIMEURL: f.rawMIMEURL,
	}

	m := &e.Message
	b := f.eventID == nil || f.plainID != nil && f.seenB && !f.seenA
	if b {
		e.Shape = mail.ShapeB
	}
	if b && !f.receivedAt.IsZero() || e.Timestamp.IsZero() {
		e.Timestamp = f.receivedAt
	}
	if b && len(f.from) > 0 || len(m.From) == 0 {
		m.From = f.from
	}
	if b && len(f.to) > 0 || len(m.To) == 0 {
		m.To = f.to
	}

	m.From, m.To = append([]mail.Address{}, m.From...), addressed(m.To)
	m.Cc = addressed(m.Cc)
	if len(m.Cc) == 0 {
		m.Cc = nil
	}

	fromHeaders(m)
	return e
}

// addressed returns the elements that have an address: a name alone cannot be routed.
func addressed(list []mail.Address) []mail.Address {
	out := make([]mail.Address, 0, len(list))
	for _, a := range list {
		if a.Address != "" {
			out = append(out, a)
		}
	}
	return out
}

// bracketed returns a message id with angle brackets (RFC 5322 §3.6.4).
func bracketed(id string) string {
	id = strings.TrimSpace(id)
	if id == "" || strings.ContainsAny(id, "<> \t\r\n") {
		return id
	}
	return "<" + id + ">"
}

// fromHeaders fills the fields of m that only the header has.
func fromHeaders(m *mail.Message) {
	for _, h := range m.Headers {
		switch strings.ToLower(h.Name) {
		case "message-id":
			if m.MessageID == "" {
				m.MessageID = bracketed(h.Value)
			}
		case "date":
			if t, err := netmail.ParseDate(h.Value); err == nil && m.Date.IsZero() && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 {
				m.Date = t.UTC()
			}
		case "reply-to":
			list, err := netmail.ParseAddressList(h.Value)
			if err != nil {
				continue
			}
			for _, a := range list {
				m.ReplyTo = append(m.ReplyTo, mail.Address{Name: clean(a.Name), Address: clean(a.Address)})
			}
		}
	}
}
