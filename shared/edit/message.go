package edit

import (
	netmail "net/mail"
	"slices"
	"strings"
	"time"

	"mailroom/shared/contract"
	"mailroom/shared/mail"
)

// Message returns m with the edit's headers set, and the fields that are parsed from
// them. A set header occurs once, at the position of its first occurrence or at the
// end. m is not changed.
func Message(m mail.Message, e contract.Edit) mail.Message {
	if len(e.Headers) == 0 {
		return m
	}

	m.Headers = slices.Clone(m.Headers)
	for _, name := range sorted(e.Headers) {
		value := e.Headers[name]
		m.Headers = setHeader(m.Headers, name, value)
		switch strings.ToLower(name) {
		case "subject":
			m.Subject = text(value)
		case "message-id":
			m.MessageID = text(value)
		case "from":
			m.From = addresses(value)
		case "to":
			m.To = addresses(value)
		case "cc":
			m.Cc = addresses(value)
		case "reply-to":
			m.ReplyTo = addresses(value)
		case "date":
			m.Date, _ = date(text(value))
		}
	}

	return m
}

// setHeader sets a header, or removes it if value is nil.
func setHeader(list []mail.Header, name string, value *string) []mail.Header {
	out, done := list[:0], value == nil
	for _, h := range list {
		switch {
		case !strings.EqualFold(h.Name, name):
			out = append(out, h)
		case !done:
			out, done = append(out, mail.Header{Name: name, Value: *value}), true
		}
	}
	if !done {
		out = append(out, mail.Header{Name: name, Value: *value})
	}
	return out
}

// readable reports whether a value is valid in a header field of that name, if the
// message has a parsed form of the field.
func readable(name, value string) bool {
	switch strings.ToLower(name) {
	case "from", "to", "cc", "reply-to":
		_, err := netmail.ParseAddressList(value)
		return err == nil
	case "date":
		_, ok := date(value)
		return ok
	default:
		return true
	}
}

// addresses parses a list that readable has accepted.
func addresses(value *string) []mail.Address {
	list, err := netmail.ParseAddressList(text(value))
	if err != nil {
		return nil
	}
	out := make([]mail.Address, 0, len(list))
	for _, a := range list {
		out = append(out, mail.Address{Name: clean(a.Name), Address: clean(a.Address)})
	}
	return out
}

func date(value string) (time.Time, bool) {
	t, err := netmail.ParseDate(value)
	if err != nil || t.UTC().Year() < 1 || t.UTC().Year() > 9999 {
		return time.Time{}, false
	}
	return t.UTC(), true
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

// clean makes s valid UTF-8 without NUL: encoded words may contain anything.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
