package activities

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"mailroom/shared/address"
	"mailroom/shared/contract"
	"mailroom/shared/edit"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// RequestSchema names the layout of what destinations receive. Its JSON Schema
// is activities/downstream/mailroom.email.v1.json.
const RequestSchema = "mailroom.email.v1"

// Bounds of a request, in bytes. What lies beyond is cut and marked so.
const (
	maxText    = 256 << 10
	maxHeaders = 64 << 10
	maxSubject = 64 << 10
)

// linkFor is how long a link to an attachment works.
const linkFor = time.Hour

// Linker makes links to one attachment, under its file name. Anyone who has a link can
// read the attachment until expiry has passed.
type Linker interface {
	Link(ctx context.Context, a mail.Attachment, expiry time.Duration) (string, error)
}

// request is the JSON that a destination receives. Everything but the links and
// their times is the same on each attempt. Fields are added, never renamed.
type request struct {
	Schema         string              `json:"schema"`
	EventID        string              `json:"event_id"`
	IdempotencyKey string              `json:"idempotency_key"`
	Source         string              `json:"source"`
	Tenant         string              `json:"tenant"`
	CorrelationID  string              `json:"correlation_id"`
	ReceivedAt     time.Time           `json:"received_at"`
	Sender         string              `json:"sender"`
	Recipients     []string            `json:"recipients"`
	RecipientParts []requestRecipient  `json:"recipient_details,omitempty"`
	Message        requestMessage      `json:"message"`
	Attachments    []requestAttachment `json:"attachments"`
	Edited         *requestEdited      `json:"edited,omitempty"`

	LoopMark            string         `json:"loop_mark,omitempty"`
	Reported            *mail.Reported `json:"reported,omitempty"`
	PossibleDuplicateOf string         `json:"possible_duplicate_of,omitempty"`
}

// requestRecipient is how Mailroom reads the recipient of the same place.
type requestRecipient struct {
	Address string `json:"address"`
	Mailbox string `json:"mailbox"`
	Tag     string `json:"tag"`
}

// requestEdited says that the request is not the mail as it came.
type requestEdited struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Fields []string  `json:"fields"`
}

type requestMessage struct {
	MessageID        string         `json:"message_id"`
	Subject          string         `json:"subject"`
	From             []mail.Address `json:"from"`
	To               []mail.Address `json:"to"`
	Cc               []mail.Address `json:"cc"`
	ReplyTo          []mail.Address `json:"reply_to"`
	Date             *time.Time     `json:"date"`
	Text             string         `json:"text"`
	TextTruncated    bool           `json:"text_truncated"`
	HTML             string         `json:"html"`
	HTMLTruncated    bool           `json:"html_truncated"`
	Headers          []mail.Header  `json:"headers"`
	HeadersTruncated bool           `json:"headers_truncated"`
}

type requestAttachment struct {
	Filename     string       `json:"filename"`
	ContentType  string       `json:"content_type"`
	DetectedType string       `json:"detected_type"`
	Size         int64        `json:"size"`
	SHA256       string       `json:"sha256"`
	ContentID    string       `json:"content_id"`
	Verdict      mail.Verdict `json:"verdict"`
	URL          string       `json:"url,omitempty"`
	URLExpiresAt *time.Time   `json:"url_expires_at,omitempty"`
}

// requestBody encodes the request of a delivery, of a manifest and message that
// m.Overlay has been laid over already, and hashes what of it is content: all but
// the key, the links and their times, and the words that it was edited, that it may be
// a duplicate and what the provider reported, which alone make no other content.
// Attachments that are not clean get a link only when released.
func requestBody(ctx context.Context, in contract.DeliverInput, key string, m *ledger.Manifest, message *mail.Message,
	links Linker, now time.Time) (body, sum []byte, err error) {
	r := request{
		Schema:         RequestSchema,
		EventID:        in.Email.EventID,
		IdempotencyKey: key,
		Source:         in.Email.Source,
		Tenant:         in.Email.Tenant,
		CorrelationID:  in.Email.CorrelationID,
		ReceivedAt:     m.ReceivedAt.UTC(),
		Sender:         m.Sender,
		Recipients:     list(m.Recipients),
		RecipientParts: recipientParts(m.Recipients),
		Message:        newRequestMessage(message),
		Attachments:    make([]requestAttachment, 0, len(m.Attachments)),

		LoopMark:            contract.LoopMark(in.Email),
		PossibleDuplicateOf: m.PossibleDuplicateOf,
	}
	if m.Reported != (mail.Reported{}) {
		r.Reported = &m.Reported
	}

	expires := now.Add(linkFor).UTC().Truncate(time.Second)
	for i, a := range m.Attachments {
		out := requestAttachment{
			Filename: a.Filename, ContentType: a.ContentType, DetectedType: a.DetectedType, Size: a.Size,
			SHA256: a.SHA256, ContentID: a.ContentID, Verdict: a.Verdict,
		}
		if a.Key != "" && (a.Verdict == mail.Clean || in.Released) {
			url, err := links.Link(ctx, a, linkFor)
			if err != nil {
				return nil, nil, fmt.Errorf("link attachment %d: %w", i+1, err)
			}
			out.URL, out.URLExpiresAt = url, &expires
		}
		r.Attachments = append(r.Attachments, out)
	}

	if m.Overlay != nil {
		r.Edited = &requestEdited{By: m.Edited.By, At: m.Edited.At.UTC(), Fields: edit.Names(*m.Overlay)}
	}
	if body, err = encode(r); err != nil {
		return nil, nil, err
	}
	sum, err = r.contentHash()
	return body, sum, err
}

// contentHash is the SHA-256 of the request with everything taken out that differs
// between two requests of the same content. That there is a link, or none, is content.
func (r request) contentHash() ([]byte, error) {
	r.IdempotencyKey, r.Edited = "", nil
	r.RecipientParts = nil // they follow from Recipients
	r.LoopMark, r.Reported, r.PossibleDuplicateOf = "", nil, ""
	r.Attachments = slices.Clone(r.Attachments)
	for i := range r.Attachments {
		a := &r.Attachments[i]
		if a.URL != "" {
			a.URL = "linked"
		}
		a.URLExpiresAt = nil
	}
	text, err := encode(r)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

func newRequestMessage(m *mail.Message) requestMessage {
	out := requestMessage{
		MessageID: cut(m.MessageID, maxColumn),
		Subject:   cut(m.Subject, maxSubject),
		From:      list(m.From),
		To:        list(m.To),
		Cc:        list(m.Cc),
		ReplyTo:   list(m.ReplyTo),
		Text:      cut(m.Text, maxText),
		HTML:      cut(m.HTML, maxText),
	}

	out.TextTruncated, out.HTMLTruncated = len(out.Text) < len(m.Text), len(out.HTML) < len(m.HTML)
	if !m.Date.IsZero() {
		date := m.Date.UTC()
		out.Date = &date
	}

	size := 0
	for i, h := range m.Headers {
		if size += len(h.Name) + len(h.Value); size > maxHeaders {
			out.Headers, out.HeadersTruncated = list(slices.Clone(m.Headers[:i])), true
			return out
		}
	}
	out.Headers = list(m.Headers)
	return out
}

// recipientParts returns how each recipient is read, in their order.
func recipientParts(recipients []string) []requestRecipient {
	out := make([]requestRecipient, len(recipients))
	for i, text := range recipients {
		a := address.Parse(text)
		out[i] = requestRecipient{Address: text, Mailbox: a.Mailbox(), Tag: a.Tag}
	}
	return out
}

// list returns s, or an empty list in place of nil, so that JSON shows no null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
