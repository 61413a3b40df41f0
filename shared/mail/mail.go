package mail

import (
	"iter"
	"strings"
	"time"
)

// Address is one mailbox with its display name. Address is the bare
// addr-spec (RFC 5322 §3.4.1) as written by the provider or in the mail; it may be
// invalid.
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

// Envelope is the SMTP envelope as the provider reports it. Unlike the header it says
// where the mail was really sent. If it is present, routing reads nothing else.
type Envelope struct {
	MailFrom string   `json:"mail_from,omitempty"`
	RcptTo   []string `json:"rcpt_to,omitempty"`
}

// Auth has the results of sender authentication that the provider reports, each one of
// the names of RFC 8601 §2.7 or empty. They are not verified.
type Auth struct {
	SPF   string `json:"spf,omitempty"`
	DKIM  string `json:"dkim,omitempty"`
	DMARC string `json:"dmarc,omitempty"`
}

// Reported is what the provider reports about an event in addition to the mail. It is
// passed on unchanged and not verified.
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

// All returns the name and the text of each thing that was reported, in the order in which
// people read them. The time is in RFC 3339.
func (r *Reported) All() iter.Seq2[string, string] {
	return func(yield func(name, text string) bool) {
		for _, name := range ReportedTexts {
			if text := *r.Text(name); text != "" && !yield(name, text) {
				return
			}
		}
		if !r.Timestamp.IsZero() {
			yield("time", r.Timestamp.UTC().Format(time.RFC3339))
		}
	}
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
	// Defects are violations of the standard that another program may read differently:
	// codes of package mime, or texts without mail content, in no particular order.
	Defects []string `json:"defects,omitempty"`
}

// Attachment is one part of a mail that is not its text. Declared and detected
// properties are separate, because they may differ.
type Attachment struct {
	Filename    string `json:"filename"`               // cleaned: no path, no control or bidi characters, at most 255 bytes
	ContentType string `json:"content_type,omitempty"` // as declared
	ContentID   string `json:"content_id,omitempty"`   // without angle brackets

	// DeclaredSize is -1 and DeclaredSHA256 empty if the provider does not declare them.
	DeclaredSize   int64  `json:"-"`
	DeclaredSHA256 string `json:"-"` // lower-case hex
	// URL is set if the provider sends a link instead of the bytes.
	URL string `json:"-"`
	// Content is the decoded bytes while they are in memory.
	Content []byte `json:"-"`

	Key          string  `json:"-"` // key in the object store; empty if there are no bytes
	Size         int64   `json:"size"`
	SHA256       string  `json:"sha256"` // lower-case hex
	DetectedType string  `json:"detected_type,omitempty"`
	Verdict      Verdict `json:"verdict,omitempty"`
	Signature    string  `json:"signature,omitempty"` // what the scanner found, or why it could not scan
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
	// Message has the provider's fields. If RawMIME is not empty, the parsed mail
	// replaces them.
	Message     Message
	Attachments []Attachment
	RawMIME     []byte
	RawMIMEURL  string
	// Unknown is the number of fields that are not part of the shape.
	Unknown int
	// Problems lists the fields that could not be read, up to a limit; the event
	// continues without them only if a person approves it.
	Problems []Problem
	// MoreProblems is the number of breaches that are not in Problems.
	MoreProblems int `json:",omitempty"`
}

// Problem is one field of an authentic event that could not be read. Field is a
// path such as "attachments[2].content_base64", in which names chosen by the sender are
// replaced by their position; Detail has no mail content.
type Problem struct {
	Field  string
	Detail string
	// Breach means that the field violates the published schema, which a strict source
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

// Verdict is the outcome of inspecting one attachment. Every verdict but clean holds
// the mail until a person releases it.
type Verdict string

// The verdicts.
const (
	Clean       Verdict = "clean"
	Infected    Verdict = "infected"
	Suspicious  Verdict = "suspicious"
	Unscannable Verdict = "unscannable"
)

// TooLargeToScan is the signature with Unscannable if content is longer than the
// scanner accepts, so that none of it was scanned.
const TooLargeToScan = "larger than the scanner accepts"

// Sender returns the sender of the SMTP envelope, otherwise the first From address;
// empty if there is neither.
func (e *Event) Sender() string {
	if e.Envelope.MailFrom != "" || len(e.Message.From) == 0 {
		return e.Envelope.MailFrom
	}
	return e.Message.From[0].Address
}

// Recipients returns the addresses that the mail was sent to, from the most reliable
// source: the SMTP envelope; otherwise the mailbox that the provider names; otherwise
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
