package e2e_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// disguise is a mail whose attachment only some readers find, or find in another form.
// Each starts out as the same ordinary mail.
type disguise struct {
	name string
	edit func(m *disguised)
}

// disguised is a mail with one attachment, in the pieces that disguises change.
type disguised struct {
	top      []string // header lines of the mail
	preamble string
	part     []string // header lines of the attachment
	body     string   // of the attachment, as it is transferred
	epilogue string
	open     bool // the last boundary line is missing
	content  []byte
	whole    func(mail string) string // changes the finished mail; may be nil
}

func disguisedMail(d disguise, content []byte) string {
	m := &disguised{
		top: []string{
			"From: Pat <pat@elsewhere.example>", "To: support@yourapp.example", "Subject: disguised as " + d.name,
			"MIME-Version: 1.0", `Content-Type: multipart/mixed; boundary="b1"`,
		},
		part: []string{
			`Content-Type: application/zip; name="t.zip"`, `Content-Disposition: attachment; filename="t.zip"`,
			"Content-Transfer-Encoding: base64",
		},
		body: lines76(base64.StdEncoding.EncodeToString(content)), content: content,
	}
	d.edit(m)

	text := strings.Join(m.top, "\n") + "\n\n" + m.preamble +
		"--b1\nContent-Type: text/plain; charset=utf-8\n\nPlease see the attachment.\n" +
		"--b1\n" + strings.Join(m.part, "\n") + "\n\n" + m.body + "\n"
	if !m.open {
		text += "--b1--\n"
	}
	text += m.epilogue
	if m.whole != nil {
		return m.whole(strings.ReplaceAll(text, "\n", "\r\n"))
	}
	return strings.ReplaceAll(text, "\n", "\r\n")
}

func lines76(text string) string {
	var out strings.Builder
	for len(text) > 76 {
		out.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	return out.String() + text
}

// set replaces the header line that begins with name by lines.
func set(header []string, name string, lines ...string) []string {
	var out []string
	for _, line := range header {
		if strings.HasPrefix(line, name+":") {
			out = append(out, lines...)
			continue
		}
		out = append(out, line)
	}
	return out
}

// uuencoded writes content as uuencode(1) does.
func uuencoded(content []byte) string {
	char := func(v byte) byte {
		if v == 0 {
			return '`'
		}
		return v + ' '
	}
	var out strings.Builder
	out.WriteString("begin 644 t.zip\n")
	for len(content) > 0 {
		n := min(45, len(content))
		out.WriteByte(char(byte(n)))
		for i := 0; i < n; i += 3 {
			var b [3]byte
			copy(b[:], content[i:n])
			for _, v := range [4]byte{b[0] >> 2, b[0]<<4&63 | b[1]>>4, b[1]<<2&63 | b[2]>>6, b[2] & 63} {
				out.WriteByte(char(v))
			}
		}
		out.WriteByte('\n')
		content = content[n:]
	}
	return out.String() + "`\nend"
}

// parts encodes content in pieces, each padded by itself.
func paddedPieces(content []byte, size int) string {
	var pieces []string
	for len(content) > 0 {
		n := min(size, len(content))
		pieces = append(pieces, base64.StdEncoding.EncodeToString(content[:n]))
		content = content[n:]
	}
	return strings.Join(pieces, "\n")
}

func disguises() []disguise {
	const (
		kind     = "Content-Type"
		transfer = "Content-Transfer-Encoding"
	)
	top := func(lines ...string) func(*disguised) {
		return func(m *disguised) { m.top = set(m.top, kind, lines...) }
	}
	part := func(name string, lines ...string) func(*disguised) {
		return func(m *disguised) { m.part = set(m.part, name, lines...) }
	}
	return []disguise{
		{"nothing", func(*disguised) {}},
		// Headers.
		{"a parameter on a line that is not indented", part(kind, "Content-Type: application/zip; x-mode=0600;", `name="t.zip"`)},
		{"the boundary on a line that is not indented", top("Content-Type: multipart/mixed;", `boundary="b1"`)},
		{"a banner among the headers of the part", part(kind, "[checked by a gateway]", "Content-Type: application/zip")},
		{"a banner among the headers of the mail", top("[checked by a gateway]", `Content-Type: multipart/mixed; boundary="b1"`)},
		{"an mbox line among the headers", top(">From pat@elsewhere.example Mon Nov 30 09:00:00 2026", `Content-Type: multipart/mixed; boundary="b1"`)},
		{"text after the quoted boundary", top(`Content-Type: multipart/mixed; boundary="b1" (the boundary) x`)},
		{"a quoted pair in the boundary", top(`Content-Type: multipart/mixed; boundary="\b1"`)},
		{"a comment in the type", top(`Content-Type: multipart/mixed (several; boundary="no"); boundary="b1"`)},
		{"a boundary in pieces", top(`Content-Type: multipart/mixed; boundary*0="b"; boundary*1="1"`)},
		{"two types, the second counts", top(`Content-Type: multipart/mixed; boundary="unused"`, `Content-Type: multipart/mixed; boundary="b1"`)},
		{"two types, the first counts", top(`Content-Type: multipart/mixed; boundary="b1"`, `Content-Type: multipart/mixed; boundary="unused"`)},
		{"two types, one of them text", top("Content-Type: text/plain", `Content-Type: multipart/mixed; boundary="b1"`)},
		{"two boundaries", top(`Content-Type: multipart/mixed; boundary="unused"; boundary="b1"`)},
		{"a space before the colon", top(`Content-Type : multipart/mixed; boundary="b1"`)},
		{"a type that is no multipart", top(`Content-Type: mixed; boundary="b1"`)},
		{"a name with seventy semicolons", part(kind, `Content-Type: application/zip; name="`+strings.Repeat("&#1076;", 70)+`.zip"`)},
		{"a reference of 70 KiB", top("References: "+strings.Repeat("<x@elsewhere.example> ", 3200), `Content-Type: multipart/mixed; boundary="b1"`)},
		// Transfer encodings.
		{"base64 in padded pieces", func(m *disguised) { m.body = paddedPieces(m.content, 40) }},
		{"base64 padded in the middle of a line", func(m *disguised) { m.body = strings.ReplaceAll(paddedPieces(m.content, 40), "\n", "") }},
		{"base64 with characters that are none", func(m *disguised) { m.body = strings.ReplaceAll(m.body, "\n", "!\n*") }},
		{"base64 behind a padding alone", func(m *disguised) { m.body = "====\n" + m.body }},
		{"an encoding with a comment", part(transfer, "Content-Transfer-Encoding: base64 (really)")},
		{"a quoted encoding", part(transfer, `Content-Transfer-Encoding: "base64"`)},
		{"two encodings, the second counts", part(transfer, "Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64")},
		{"two encodings, the first counts", part(transfer, "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 7bit")},
		{"uuencode", func(m *disguised) {
			m.part, m.body = set(m.part, transfer, "Content-Transfer-Encoding: uuencode"), uuencoded(m.content)
		}},
		{"x-uuencode", func(m *disguised) {
			m.part, m.body = set(m.part, transfer, "Content-Transfer-Encoding: x-uuencode"), uuencoded(m.content)
		}},
		{"uuencode inside a text", func(m *disguised) {
			m.part, m.body = []string{"Content-Type: text/plain"}, "See below.\n\n"+uuencoded(m.content)
		}},
		{"quoted-printable", func(m *disguised) {
			m.part = set(m.part, transfer, "Content-Transfer-Encoding: quoted-printable")
			m.body = ""
			for _, b := range m.content {
				m.body += fmt.Sprintf("=%02X", b)
				if len(m.body)%79 > 72 {
					m.body += "=\n"
				}
			}
		}},
		// Structure.
		{"no last boundary", func(m *disguised) { m.open = true }},
		{"an attached mail in base64", func(m *disguised) {
			inner := strings.ReplaceAll(disguisedMail(disguise{"nothing", func(*disguised) {}}, m.content), "\r\n", "\n")
			m.part = []string{"Content-Type: message/rfc822", "Content-Transfer-Encoding: base64"}
			m.body = lines76(base64.StdEncoding.EncodeToString([]byte(inner)))
		}},
		{"a part behind the last boundary", func(m *disguised) {
			m.epilogue = "--b1\n" + strings.Join(m.part, "\n") + "\n\n" + m.body + "\n--b1--\n"
			m.part, m.body = []string{"Content-Type: text/plain"}, "nothing here"
		}},
		{"line feeds alone", func(m *disguised) {
			m.whole = func(mail string) string { return strings.ReplaceAll(mail, "\r\n", "\n") }
		}},
		{"carriage returns alone", func(m *disguised) {
			m.whole = func(mail string) string { return strings.ReplaceAll(mail, "\r\n", "\r") }
		}},
		{"an empty line of spaces before the type", func(m *disguised) {
			m.top = append([]string{"X-First: 1", " "}, m.top...)
		}},
	}
}

// Malware in a mail that readers take apart differently once left as clean. Every
// disguise is held, whatever for, and nothing of it reaches a destination.
func TestDisguisedMalwareIsNeverDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	archive := zipped("test.com", eicar(), false)
	for _, d := range disguises() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			id := newID()
			raw := base64.StdEncoding.EncodeToString([]byte(disguisedMail(d, archive)))
			w.accept(shapeA(id, "support").with(fields{"raw_mime_base64": raw}).json())

			e := w.until(id, "quarantined")
			require.Contains(t, []string{"infected", "unscannable", "mime_malformed", "attachment_mismatch"}, e.Reason, e.Detail)
			require.Empty(t, w.effects(id))
			t.Logf("%s: %s", e.Reason, e.Detail)
		})
	}
}
