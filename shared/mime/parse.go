package mime

import (
	"bytes"

	"golang.org/x/text/encoding"

	"mailroom/shared/mail"
)

// Parsed is one mail. Content of attachments may share memory with the raw mail.
type Parsed struct {
	Message     mail.Message
	Attachments []mail.Attachment
	// Received counts the Received fields: the hosts that the mail has passed.
	Received int
	// Malformed names the first limit that the mail exceeds: what stands before it is
	// here, the rest is not. It is nil where the whole mail is here.
	Malformed *Malformed
}

// Parse reads raw. Line ends may be CRLF, LF or CR alone; a byte order mark, empty
// lines and an mbox "From " line before the header are skipped. Text and HTML have
// LF line ends; of several text parts all are kept, one after the other. Every
// part that is not text to read is an attachment: with its own bytes decoded, its
// file name cleaned, its size and hash filled in; an attached message is one
// attachment ending in ".eml". Where programs read a mail differently, the
// attachments of every reading are there, and Message.Defects names the reason.
//
// The only error is *Malformed, for a mail of which nothing can be read: the same
// bytes return it again.
func Parse(raw []byte) (*Parsed, error) { return ParseWith(raw, Options{}) }

// Options say how a mail is read that does not say it right itself.
type Options struct {
	// Charset is how text is read, whatever it declares: bodies, bytes above ASCII
	// in the header, and encoded words (RFC 2047) whose own character set is unknown
	// or not theirs. A body stays that is declared as UTF-8 and is that.
	Charset encoding.Encoding
}

// ParseWith is Parse with options.
func ParseWith(raw []byte, o Options) (*Parsed, error) {
	return guard(func() (*Parsed, error) { return parse(raw, o) })
}

// guard turns a panic of a decoder into Malformed.
func guard(read func() (*Parsed, error)) (parsed *Parsed, err error) {
	defer func() {
		if recover() != nil {
			parsed, err = nil, &Malformed{Reason: "the parser could not make sense of it"}
		}
	}()
	return read()
}

func parse(raw []byte, o Options) (*Parsed, error) {
	t := newTree(len(raw))
	raw = prepare(t, raw)
	if len(raw) == 0 {
		return nil, &Malformed{Reason: "it is empty"}
	}
	root := t.readMail(raw)

	c := collector{t: t, charset: o.Charset}
	c.collect(root)
	out := &Parsed{Attachments: c.attachments}
	out.Message, out.Received = c.message(root.fields)
	out.Message.Text = c.text.String()
	out.Message.HTML = c.html.String()
	out.Message.Defects = t.defects
	out.Malformed = t.malformed
	return out, nil
}

// prepare drops what may stand before the header, makes one-byte characters of a
// mail in UTF-16, and turns line ends of CR alone into LF.
func prepare(t *tree, raw []byte) []byte {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if markedUTF16(raw) || likeUTF16(raw) {
		t.note(DefectUTF16)
		raw = []byte(decodeUTF16(raw, false, false))
	}
	raw = bytes.TrimLeft(raw, "\r\n")
	if loneCR(raw) {
		if bytes.IndexByte(raw, '\n') >= 0 {
			t.note(DefectBareCR)
		}
		raw = unifyCR(raw)
	}
	for bytes.HasPrefix(raw, []byte("From ")) || bytes.HasPrefix(raw, []byte(">From ")) {
		_, raw = cutLine(raw)
	}
	return raw
}
