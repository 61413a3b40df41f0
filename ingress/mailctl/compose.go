package mailctl

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	netmail "net/mail"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// template returns the body of the n-th email, made from one file or from the flags. With
// an empty id it chooses one and returns it.
type template func(id string, n int) (eventID string, body []byte, err error)

// eventA is an event in shape A of the mailparse profile.
type eventA struct {
	EventID     string        `json:"event_id"`
	Timestamp   string        `json:"timestamp"`
	Type        string        `json:"type"`
	Envelope    envelopeA     `json:"envelope"`
	Sender      []addressA    `json:"sender"`
	Recipient   []addressA    `json:"recipient"`
	Subject     string        `json:"subject"`
	Text        string        `json:"text"`
	HTML        string        `json:"html,omitempty"`
	Attachments []attachmentA `json:"attachments"`
	RawMIME     string        `json:"raw_mime_base64,omitempty"`
}

type envelopeA struct {
	MailFrom string   `json:"mail_from"`
	RcptTo   []string `json:"rcpt_to"`
}

type addressA struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
}

type attachmentA struct {
	Filename      string `json:"filename"`
	ContentType   string `json:"content_type"`
	Size          int    `json:"size"`
	Checksum      string `json:"checksum"`
	ContentBase64 string `json:"content_base64"`
}

// templates returns one template per file, or the sample.
func (c *sendCommand) templates(s *session) ([]template, error) {
	if len(c.Files) == 0 {
		sample, err := c.sample(s)
		if err != nil {
			return nil, err
		}
		return []template{c.eventTemplate(s, sample)}, nil
	}

	out := make([]template, 0, len(c.Files))
	for _, name := range c.Files {
		content, err := s.read(name)
		if err != nil {
			return nil, err
		}
		if isEvent(name, content) {
			if err := s.given.refuse("does not go with an event in JSON, which names its own addresses", "from", "to"); err != nil {
				return nil, err
			}
			out = append(out, c.jsonTemplate(content))
			continue
		}
		event, err := c.wrap(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, c.eventTemplate(s, event))
	}

	return out, nil
}

// isEvent reports whether a file is JSON rather than mail: by its name, else by its first
// character.
func isEvent(name string, content []byte) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		return true
	case ".eml":
		return false
	}
	return bytes.HasPrefix(bytes.TrimSpace(content), []byte("{"))
}

// eventTemplate sets an id of its own and the current time for each email.
func (c *sendCommand) eventTemplate(s *session, event eventA) template {
	return func(id string, _ int) (string, []byte, error) {
		if id == "" {
			id = "evt_" + strings.ToLower(rand.Text())
		}
		own := event
		own.EventID = id
		own.Timestamp = s.now().UTC().Format(time.RFC3339)
		body, err := json.Marshal(own)
		if err != nil {
			return id, nil, fmt.Errorf("event: %w", err)
		}
		return id, body, nil
	}
}

// jsonTemplate sends the bytes as they are, unless an id is asked for or there
// are several to send: then the id is replaced and the JSON written anew.
func (c *sendCommand) jsonTemplate(content []byte) template {
	return func(id string, n int) (string, []byte, error) {
		var fields map[string]json.RawMessage
		err := json.Unmarshal(content, &fields)
		field := "event_id"
		if _, ok := fields[field]; !ok && fields["id"] != nil {
			field = "id"
		}

		var own string
		if err == nil && fields[field] != nil {
			_ = json.Unmarshal(fields[field], &own) // an id that is no string stays empty
		}
		if id == "" && c.Count == 1 {
			return own, content, nil
		}

		if err != nil {
			return id, nil, fmt.Errorf("the event cannot be given an id: %w", err)
		}
		if id == "" {
			id = own + "-" + strconv.Itoa(n)
		}

		fields[field], err = json.Marshal(id)
		if err != nil {
			return id, nil, fmt.Errorf("event id: %w", err)
		}
		body, err := json.Marshal(fields)
		if err != nil {
			return id, nil, fmt.Errorf("event: %w", err)
		}
		return id, body, nil
	}
}

// sample makes an event from the flags.
func (c *sendCommand) sample(s *session) (eventA, error) {
	from, err := parseSender(fallback(c.From, "Ada Example <ada@example.com>"))
	if err != nil {
		return eventA{}, err
	}
	to, err := parseAddresses("to", c.To)
	if err != nil {
		return eventA{}, err
	}
	if len(to) == 0 {
		to = append(to, addressA{Address: "support@yourapp.example"})
	}

	event := eventA{
		Type:        "email.received",
		Envelope:    envelopeA{MailFrom: from.Address, RcptTo: bare(to)},
		Sender:      []addressA{from},
		Recipient:   to,
		Subject:     fallback(c.Subject, "A sample from mailctl"),
		Text:        c.Text,
		HTML:        c.HTML,
		Attachments: []attachmentA{},
	}
	if c.Text == "" && c.HTML == "" {
		event.Text = "Hello,\n\nthis is a sample that mailctl made.\n"
	}

	for _, name := range c.Attach {
		content, err := s.read(name)
		if err != nil {
			return eventA{}, err
		}
		sum := sha256.Sum256(content)
		event.Attachments = append(event.Attachments, attachmentA{
			Filename:      filepath.Base(name),
			ContentType:   fallback(mime.TypeByExtension(filepath.Ext(name)), "application/octet-stream"),
			Size:          len(content),
			Checksum:      "sha256:" + hex.EncodeToString(sum[:]),
			ContentBase64: base64.StdEncoding.EncodeToString(content),
		})
	}

	return event, nil
}

// wrap puts raw mail into an event. The envelope comes from flags, else from the mail's
// header, of which only From, To, Cc and Subject are read; the rest may be broken.
func (c *sendCommand) wrap(raw []byte) (eventA, error) {
	event := eventA{
		Type:        "email.received",
		Sender:      []addressA{},
		Recipient:   []addressA{},
		Attachments: []attachmentA{},
		RawMIME:     base64.StdEncoding.EncodeToString(raw),
	}

	if message, err := netmail.ReadMessage(bytes.NewReader(raw)); err == nil {
		decoder := mime.WordDecoder{}
		if subject, err := decoder.DecodeHeader(message.Header.Get("Subject")); err == nil {
			event.Subject = subject
		}
		event.Sender = headerAddresses(message.Header, "From")
		event.Recipient = append(headerAddresses(message.Header, "To"), headerAddresses(message.Header, "Cc")...)
	}

	event.Envelope.RcptTo = bare(event.Recipient)
	if err := c.envelope(&event); err != nil {
		return eventA{}, err
	}

	if len(event.Envelope.RcptTo) == 0 {
		return eventA{}, usagef("the mail names no readable recipient: give --to")
	}

	return event, nil
}

// envelope sets what the flags say about the envelope. Without --from its sender is the
// first one of the header.
func (c *sendCommand) envelope(event *eventA) error {
	switch {
	case c.From != "":
		from, err := parseSender(c.From)
		if err != nil {
			return err
		}
		event.Envelope.MailFrom = from.Address
	case len(event.Sender) > 0:
		event.Envelope.MailFrom = event.Sender[0].Address
	}

	if len(c.To) == 0 {
		return nil
	}
	to, err := parseAddresses("to", c.To)
	if err != nil {
		return err
	}
	event.Envelope.RcptTo = bare(to)
	return nil
}

func headerAddresses(header netmail.Header, name string) []addressA {
	list, err := header.AddressList(name)
	if err != nil {
		return []addressA{}
	}
	out := make([]addressA, 0, len(list))
	for _, a := range list {
		out = append(out, addressA{Address: a.Address, Name: a.Name})
	}
	return out
}

func bare(list []addressA) []string {
	out := make([]string, 0, len(list))
	for _, a := range list {
		out = append(out, a.Address)
	}
	return out
}
