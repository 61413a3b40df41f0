// Package decode makes one mail of a raw body: the provider's event, and the raw
// mail inside it where there is one.
//
// Invariants: the raw mail is the better witness, so its parse replaces the
// message and the attachments that the provider took out of it, while the
// envelope, which no mail carries, and the recipients stay the provider's; of a raw
// mail beyond a limit of the parser, what stands before the limit is used, and the
// provider's own fields and attachments fill the gaps; what cannot be read is named
// in a hold and everything else is kept, so that a person can let the mail go on
// without it; no hold repeats what is in the mail.
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

// maxReceived is how many hosts a mail may have passed (RFC 5321 §6.3).
const maxReceived = 100

// Decoder decodes raw bodies. Its zero value is ready.
type Decoder struct{}

// Decode gives the mail in body and what a person must look at before it goes
// on, at most one hold for each reason. The event is never nil; it is empty when
// body is none, which the ingress does not let happen. Of edit, which may be nil,
// it heeds what concerns the decoding, the members' names and the character set.
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
			settle(e)
			read.mend(e)
			holds = append(holds, hold(contract.MIMEMalformed, malformed(mailed.Malformed)+"; what stands before that is kept"))
			complete(e, mailed)
			received, mended = max(received, mailed.Received), true
		default:
			settle(e)
			e.Message, e.Attachments, received, parsed = mailed.Message, mailed.Attachments, mailed.Received, true
		}
	}
	if !parsed && !mended {
		read.mend(e)
	}

	return e, append(holds, judge(e, received, parsed)...)
}

// complete puts what could be read of a raw mail in the place of the provider's
// fields, and keeps of those what the raw mail lacks: an empty field, an attachment
// with bytes or a link that is not among the parsed ones.
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

// settle makes the recipients that the provider named an envelope where there is
// none, before the raw mail's fields replace the provider's: the ingress looked at
// these recipients, and what a sender writes into the mail must not choose a route.
func settle(e *mail.Event) {
	if len(e.Envelope.RcptTo) == 0 && e.Mailbox == "" {
		e.Envelope.RcptTo = e.Recipients()
	}
}

// judge says what of a decoded mail a person must look at.
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

// unread names the first field that could not be read, one that breaks the schema
// before the others. Once the raw mail is parsed, what the provider's own attachments
// hold does not matter any more; that they break the schema still does.
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

// unfetched names what came as a link in place of bytes.
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
