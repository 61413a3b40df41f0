package edit

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mailroom/shared/contract"
	"mailroom/shared/ledger"
	"mailroom/shared/mail"
)

// Picture is an email as shown to a person.
type Picture struct {
	Manifest ledger.Manifest
	Message  mail.Message
	// Destinations are the names of its destinations.
	Destinations []string
}

// Apply returns the picture after an edit, except for charset and fields, which take
// effect when the raw body is decoded.
func (p Picture) Apply(e contract.Edit) Picture {
	p.Manifest, p.Message = Manifest(p.Manifest, e), Message(p.Message, e)
	if len(e.To) > 0 {
		p.Destinations = slices.Clone(e.To)
	}
	return p
}

// Bounds of a diff, in bytes and changes.
const (
	maxShown   = 600
	mostShown  = 200
	leadOfText = 60
)

// Diff lists the differences between two pictures, in the order in which an email is
// read. A header is named headers.<name>, an attachment attachments[<index>] by its
// position in the mail. Long values are cut around their first difference. A missing
// value is empty.
func Diff(before, after Picture) []ledger.Change {
	var d diff
	b, a := &before.Message, &after.Message
	d.value("to", list(before.Destinations), list(after.Destinations))
	d.value("recipients", list(before.Manifest.Recipients), list(after.Manifest.Recipients))
	d.value("sender", before.Manifest.Sender, after.Manifest.Sender)
	d.value("headers.From", people(b.From), people(a.From))
	d.value("headers.To", people(b.To), people(a.To))
	d.value("headers.Cc", people(b.Cc), people(a.Cc))
	d.value("headers.Reply-To", people(b.ReplyTo), people(a.ReplyTo))
	d.value("headers.Subject", b.Subject, a.Subject)
	d.value("headers.Message-ID", b.MessageID, a.MessageID)
	d.value("headers.Date", when(b.Date), when(a.Date))
	d.headers(b.Headers, a.Headers)
	d.value("text", b.Text, a.Text)
	d.value("html", b.HTML, a.HTML)
	d.attachments(before.Manifest.Attachments, after.Manifest.Attachments)
	return d
}

type diff []ledger.Change

func (d *diff) value(field, before, after string) {
	if before == after || len(*d) >= mostShown {
		return
	}
	before, after = excerpt(before, after)
	*d = append(*d, ledger.Change{Field: field, Before: before, After: after})
}

// shownAbove are the headers that Diff shows by the fields parsed from them.
var shownAbove = []string{"from", "to", "cc", "reply-to", "subject", "message-id", "date"}

func (d *diff) headers(before, after []mail.Header) {
	was, is := byName(before), byName(after)
	for _, h := range slices.Concat(before, after) {
		key := strings.ToLower(h.Name)
		if slices.Contains(shownAbove, key) {
			continue
		}
		d.value("headers."+h.Name, was[key], is[key])
		delete(was, key)
		delete(is, key)
	}
}

// byName joins the values of each header.
func byName(headers []mail.Header) map[string]string {
	out := make(map[string]string, len(headers))
	for _, h := range headers {
		key := strings.ToLower(h.Name)
		if earlier, ok := out[key]; ok {
			h.Value = earlier + "\n" + h.Value
		}
		out[key] = h.Value
	}
	return out
}

// attachments matches attachments by their content.
func (d *diff) attachments(before, after []mail.Attachment) {
	left := slices.Clone(after)
	for i, a := range before {
		j := slices.IndexFunc(left, func(b mail.Attachment) bool {
			return a.SHA256 == b.SHA256 && (a.SHA256 != "" || a.URL == b.URL)
		})
		if j < 0 {
			d.value(at("attachments", i), describe(a), "")
			continue
		}
		d.value(at("attachments", i), describe(a), describe(left[j]))
		left = slices.Delete(left, j, j+1)
	}
	for i, a := range left {
		d.value(at("attachments", len(before)+i), "", describe(a))
	}
}

func describe(a mail.Attachment) string {
	out := fmt.Sprintf("%s, %d bytes", a.Filename, a.Size)
	if a.SHA256 != "" {
		out += ", sha256 " + a.SHA256
	}
	if a.Verdict != "" {
		out += ", " + string(a.Verdict)
	}
	return out
}

// excerpt cuts two different texts to the length that is shown, from shortly before
// their first difference.
func excerpt(before, after string) (string, string) {
	if len(before) <= maxShown && len(after) <= maxShown {
		return before, after
	}
	same := 0
	for same < len(before) && same < len(after) && before[same] == after[same] {
		same++
	}
	start := max(same-leadOfText, 0)
	return piece(before, start), piece(after, start)
}

func piece(text string, start int) string {
	lead, tail := "", ""
	for start > 0 && start < len(text) && !utf8.RuneStart(text[start]) {
		start--
	}
	if start > 0 {
		lead = "…"
	}
	text = text[min(start, len(text)):]
	if len(text) > maxShown {
		end := maxShown
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text, tail = text[:end], "…"
	}
	if text == "" {
		return ""
	}
	return lead + text + tail
}

func list(texts []string) string { return strings.Join(texts, ", ") }

func people(addresses []mail.Address) string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = a.Address
		if a.Name != "" {
			out[i] = a.Name + " <" + a.Address + ">"
		}
	}
	return list(out)
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
