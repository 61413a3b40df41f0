package decode

import (
	"errors"
	"fmt"
	"strings"

	"mailroom/shared/contract"
	"mailroom/shared/mail"
	"mailroom/shared/mime"
	"mailroom/shared/payload"
)

// maxReceived is the number of hosts that a mail may have passed (RFC 5321 §6.3).
const maxReceived = 100

// Decoder decodes raw bodies. Its zero value is ready.
type Decoder struct{}

// Decode returns the mail in body and the holds that a person must decide about, at
// most one for each reason. The event is never nil; it is empty if body is no event,
// which the ingress refuses. Of edit, which may be nil, only the names of members and
// the character set matter here.
func (Decoder) Decode(body []byte, edit *contract.Edit) (*mail.Event, []contract.Hold) {
	var holds []contract.Hold
	read := readingOf(edit)
	e, err := payload.Decode(body, payload.Options{Rename: read.names})
	if err != nil {
		return &mail.Event{}, append(holds, hold(contract.SchemaInvalid, "the event cannot be read: "+payload.Nameless(err)))
	}

	received := countReceived(e.Message.Headers)
	parsed, mended := false, false
	if len(e.RawMIME) > 0 {
		mailed, err := mime.ParseWith(e.RawMIME, mime.Options{Charset: read.charset})
		switch {
		case err != nil:
			holds = append(holds, hold(contract.MIMEMalformed, malformed(err)))
			e.Message.Defects = append(e.Message.Defects, malformed(err))
		case mailed.Malformed != nil:
			fixRecipients(e)
			read.redecodeFields(e)
			holds = append(holds, hold(contract.MIMEMalformed, malformed(mailed.Malformed)+"; what stands before that is kept"))
			complete(e, mailed)
			received, mended = max(received, mailed.Received), true
		default:
			fixRecipients(e)
			e.Message, e.Attachments, received, parsed = mailed.Message, mailed.Attachments, mailed.Received, true
		}
	}
	if !parsed && !mended {
		read.redecodeFields(e)
	}

	return e, append(holds, judge(e, received, parsed)...)
}

// complete replaces the provider's fields with those of the raw mail. It keeps what
// the raw mail lacks: fields that are empty there, and attachments with bytes or a link
// that are not among the parsed ones.
func complete(e *mail.Event, mailed *mime.Parsed) {
	provided, attachments := e.Message, e.Attachments
	e.Message, e.Attachments = mailed.Message, mailed.Attachments
	m := &e.Message
	for _, text := range []struct{ to, from *string }{
		{&m.MessageID, &provided.MessageID}, {&m.Subject, &provided.Subject}, {&m.Text, &provided.Text}, {&m.HTML, &provided.HTML},
	} {
		if strings.TrimSpace(*text.to) == "" {
			*text.to = *text.from
		}
	}

	for _, list := range []struct{ to, from *[]mail.Address }{
		{&m.From, &provided.From}, {&m.To, &provided.To}, {&m.Cc, &provided.Cc}, {&m.ReplyTo, &provided.ReplyTo},
	} {
		if len(*list.to) == 0 {
			*list.to = *list.from
		}
	}

	known := map[string]bool{}
	for _, a := range e.Attachments {
		known[a.SHA256] = true
	}

	for _, a := range attachments {
		if a.Content == nil || !known[a.SHA256] {
			e.Attachments = append(e.Attachments, a)
		}
	}
}

// fixRecipients makes an envelope from the recipients that the provider named, if there
// is none, before the fields of the raw mail replace them. The ingress has checked
// these recipients; what a sender writes into the mail must not choose a route.
func fixRecipients(e *mail.Event) {
	if len(e.Envelope.RcptTo) == 0 && e.Mailbox == "" {
		e.Envelope.RcptTo = e.Recipients()
	}
}

// judge returns the holds of a decoded mail.
func judge(e *mail.Event, received int, parsed bool) []contract.Hold {
	var holds []contract.Hold
	if detail := unread(e, parsed); detail != "" {
		holds = append(holds, hold(contract.SchemaInvalid, detail))
	}
	if detail := unfetched(e); detail != "" {
		holds = append(holds, hold(contract.AttachmentUnfetchable, detail))
	}
	if received > maxReceived {
		holds = append(holds, hold(contract.LoopDetected,
			fmt.Sprintf("the mail has passed %d hosts, more than %d: it runs in a circle", received, maxReceived)))
	}
	return holds
}

// unread describes the fields that could not be read and names the first, preferably
// one that breaks the schema. If the raw mail was parsed, unreadable content of the
// provider's attachments does not matter; breaches of the schema still do.
func unread(e *mail.Event, parsed bool) string {
	first, count, breach := "", e.MoreProblems, false
	for _, p := range e.Problems {
		if parsed && !p.Breach && strings.HasPrefix(p.Field, "attachments") {
			continue
		}
		if count++; first == "" || p.Breach && !breach {
			first, breach = p.Field+" "+p.Detail, p.Breach
		}
	}
	if count == 0 {
		return ""
	}
	return andMore(first, count-1)
}

// unfetched describes the attachments that came as a link instead of bytes.
func unfetched(e *mail.Event) string {
	if len(e.RawMIME) == 0 && e.RawMIMEURL != "" {
		return "the raw mail is behind a link, and links are not fetched"
	}
	first, more := "", 0
	for i, a := range e.Attachments {
		switch {
		case a.URL == "":
		case first == "":
			first = fmt.Sprintf("attachment %d of %d is behind a link, and links are not fetched", i+1, len(e.Attachments))
		default:
			more++
		}
	}
	return andMore(first, more)
}

func countReceived(headers []mail.Header) int {
	n := 0
	for _, h := range headers {
		if strings.EqualFold(h.Name, "Received") {
			n++
		}
	}
	return n
}

func malformed(err error) string {
	var m *mime.Malformed
	if errors.As(err, &m) {
		return "the raw mail cannot be parsed: " + m.Reason
	}
	return "the raw mail cannot be parsed"
}

func andMore(first string, more int) string {
	if more == 0 {
		return first
	}
	return fmt.Sprintf("%s (and %d more)", first, more)
}

func hold(reason contract.Reason, detail string) contract.Hold {
	return contract.Hold{Reason: reason, Detail: detail}
}
