// Package mail holds the nouns of the domain: the event a provider posts, the
// message inside it, its attachments and what the scanner said of them.
//
// Invariants: the package imports the standard library alone, its types carry
// data and no behaviour that needs a clock, a network or a disk, and every
// string in them is valid UTF-8 without NUL (the decoders see to that).
package mail

import (
	"strings"
	"time"
)

// Address is one mailbox with its display name. Address is the bare
// addr-spec (RFC 5322 §3.4.1) as the provider or the mail gave it; it is not
// guaranteed to be valid.
type Address struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Header is one header field of the mail, in the order of the mail, its value
// decoded (RFC 2047) and unfolded.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Envelope is the SMTP envelope as the provider reports it: unlike the header
// it says where the mail really went. Routing reads nothing else when it is there.
type Envelope struct {
	MailFrom string   `json:"mail_from,omitempty"`
	RcptTo   []string `json:"rcpt_to,omitempty"`
}

// Auth is the provider's word on sender authentication, one of the result
// names of RFC 8601 §2.7 or empty. It is reported, never trusted.
type Auth struct {
	SPF   string `json:"spf,omitempty"`
	DKIM  string `json:"dkim,omitempty"`
	DMARC string `json:"dmarc,omitempty"`
}

// Reported is what the provider says of an event beside the mail itself. It is passed
// on as it was said, and nothing of it is verified.
type Reported struct {
	Auth      Auth      `json:"auth,omitzero"`
	Type      string    `json:"type,omitempty"`
	Timestamp time.Time `json:"timestamp,omitzero"` // UTC: timestamp of shape A, receivedAt of shape B
	Mailbox   string    `json:"mailbox,omitempty"`
}

// ReportedTexts are the names of the texts in Reported, in the order in which people
// read them.
var ReportedTexts = []string{"SPF", "DKIM", "DMARC", "type", "mailbox"}

// Text returns the text of a name in ReportedTexts, whatever its case; nil for any
// other name.
func (r *Reported) Text(name string) *string {
	switch strings.ToLower(name) {
	case "spf":
		return &r.Auth.SPF
	case "dkim":
		return &r.Auth.DKIM
	case "dmarc":
		return &r.Auth.DMARC
	case "type":
		return &r.Type
	case "mailbox":
		return &r.Mailbox
	}
	return nil
}

// Message is the parsed RFC 5322 mail without its attachments.
type Message struct {
	MessageID string    `json:"message_id,omitempty"` // with its angle brackets
	Subject   string    `json:"subject"`
	From      []Address `json:"from"`
	To        []Address `json:"to"`
	Cc        []Address `json:"cc,omitempty"`
	ReplyTo   []Address `json:"reply_to,omitempty"`
	Date      time.Time `json:"date,omitzero"` // UTC; zero when absent or unreadable
	Text      string    `json:"text,omitempty"`
	HTML      string    `json:"html,omitempty"`
	Headers   []Header  `json:"headers,omitempty"`
	// Defects are what the parser read in spite of a violation of the standard that
	// another program may read differently: codes of package mime, or sentences
	// without mail content, in no particular order. A mail without any has none.
	Defects []string `json:"defects,omitempty"`
}

// Attachment is one part of a mail that is not its text. What the sender
// declared and what was found are kept apart, because the two may differ.
type Attachment struct {
	Filename    string `json:"filename"`               // cleaned: no path, no control or bidi characters, at most 255 bytes
	ContentType string `json:"content_type,omitempty"` // as declared
	ContentID   string `json:"content_id,omitempty"`   // without angle brackets

	// DeclaredSize is -1 and DeclaredSHA256 empty when the provider says nothing.
	DeclaredSize   int64  `json:"-"`
	DeclaredSHA256 string `json:"-"` // lower-case hex
	// URL is set where the provider gives a link instead of the bytes.
	URL string `json:"-"`
	// Content is the decoded bytes while they are in memory.
	Content []byte `json:"-"`

	Key          string  `json:"-"` // where the object store holds it; empty when there are no bytes
	Size         int64   `json:"size"`
	SHA256       string  `json:"sha256"` // lower-case hex
	DetectedType string  `json:"detected_type,omitempty"`
	Verdict      Verdict `json:"verdict,omitempty"`
	Signature    string  `json:"signature,omitempty"` // what the scanner found, or why it could not look
}

// Event is one accepted webhook call, decoded.
type Event struct {
	ID        string
	Shape     Shape
	Type      string
	Timestamp time.Time // UTC; zero when absent
	Mailbox   string    // the mailbox the provider names; may be empty
	Envelope  Envelope
	Auth      Auth
	// Message holds the provider's fields; where RawMIME is not empty the mail
	// itself is the better source and its parse replaces them.
	Message     Message
	Attachments []Attachment
	RawMIME     []byte
	RawMIMEURL  string
	// Unknown counts the fields that the shape does not name.
	Unknown int
	// Problems lists what could not be read; the event goes on without it only
	// when a person says so. Of very many it lists the first.
	Problems []Problem
	// MoreProblems counts the breaches that Problems leaves out.
	MoreProblems int `json:",omitempty"`
}

// Problem is one field of an authentic event that could not be read. Field is a
// path such as "attachments[2].content_base64", in which names that the sender has
// chosen are replaced by their place; Detail holds no mail content.
type Problem struct {
	Field  string
	Detail string
	// Breach says that the field breaks the published schema, which a strict source
	// refuses.
	Breach bool `json:",omitempty"`
}

// Shape is the layout of the provider's JSON.
type Shape string

// The two shapes of the mailparse profile.
const (
	ShapeA Shape = "A" // event_id, envelope, sender[], recipient[]
	ShapeB Shape = "B" // id, messageId, from{}, to[]
)

// Verdict is what inspection says of one attachment. Anything but clean keeps
// the mail from leaving until a person releases it.
type Verdict string

// The verdicts.
const (
	Clean       Verdict = "clean"
	Infected    Verdict = "infected"
	Suspicious  Verdict = "suspicious"
	Unscannable Verdict = "unscannable"
)

// TooLargeToScan is the signature beside Unscannable when content is longer than
// the scanner takes at all, so that it has looked at none of it.
const TooLargeToScan = "larger than the scanner accepts"

// Sender returns who sent the mail: the SMTP envelope's word, else the first From
// address; empty where there is neither.
func (e *Event) Sender() string {
	if e.Envelope.MailFrom != "" || len(e.Message.From) == 0 {
		return e.Envelope.MailFrom
	}
	return e.Message.From[0].Address
}

// Recipients lists the addresses the mail was sent to, the most trustworthy
// source first: the SMTP envelope; else the mailbox named by the provider; else
// the To and Cc fields. The result may be empty.
func (e *Event) Recipients() []string {
	if len(e.Envelope.RcptTo) > 0 {
		return e.Envelope.RcptTo
	}
	if e.Mailbox != "" {
		return []string{e.Mailbox}
	}
	out := make([]string, 0, len(e.Message.To)+len(e.Message.Cc))
	for _, a := range e.Message.To {
		out = append(out, a.Address)
	}
	for _, a := range e.Message.Cc {
		out = append(out, a.Address)
	}
	return out
}
