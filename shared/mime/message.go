package mime

import (
	netmail "net/mail"
	"strings"
	"time"

	"mailroom/shared/mail"
)

// message reads the mail's own header.
func (c *collector) message(fields []field) (mail.Message, int) {
	m := mail.Message{
		MessageID: messageID(first(fields, "message-id")),
		Subject:   c.words(first(fields, "subject")),
		From:      c.addresses(fields, "from"),
		To:        c.addresses(fields, "to"),
		Cc:        c.addresses(fields, "cc"),
		ReplyTo:   c.addresses(fields, "reply-to"),
		Date:      date(first(fields, "date")),
		Headers:   make([]mail.Header, 0, len(fields)),
	}
	received := 0
	for _, f := range fields {
		if strings.EqualFold(f.name, "received") {
			received++
		}
		m.Headers = append(m.Headers, mail.Header{Name: f.name, Value: c.words(f.value)})
	}
	return m, received
}

// messageID returns the identifier with its angle brackets (RFC 5322 §3.6.4), or
// what stands there when it has none.
func messageID(value string) string {
	if open := strings.IndexByte(value, '<'); open >= 0 {
		if length := strings.IndexByte(value[open:], '>'); length > 0 {
			return clean(value[open : open+length+1])
		}
	}
	return clean(strings.TrimSpace(value))
}

func date(value string) time.Time {
	if value == "" {
		return time.Time{}
	}
	t, err := netmail.ParseDate(value)
	if err != nil {
		if t, err = netmail.ParseDate(strings.TrimSpace(stripComments(value))); err != nil {
			return time.Time{}
		}
	}
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
