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
	// Received is the number of Received fields: the hosts that the mail has passed.
	Received int
	// Malformed names the first limit that the mail exceeds; the rest of the fields then
	// have only what comes before the limit. It is nil if the whole mail was parsed.
	Malformed *Malformed
}

// Parse parses raw. Line ends may be CRLF, LF or CR; a byte order mark, empty lines and
// an mbox "From " line before the header are skipped. Text and HTML have LF line ends;
// several text parts are concatenated. Every part that is not body text is an
// attachment, with decoded content, cleaned file name, size and hash; an attached
// message is one attachment ending in ".eml". If programs read the mail differently, the
// result has the attachments of every reading, and Message.Defects names the reason.
//
// The only error is *Malformed, for a mail of which nothing can be read. It is
// permanent: the same bytes return it again.
func Parse(raw []byte) (*Parsed, error) { return ParseWith(raw, Options{}) }

// Options override what a mail declares.
type Options struct {
	// Charset replaces the declared character set of bodies, of bytes above ASCII in
	// the header, and of encoded words (RFC 2047) whose own character set is unknown or
	// wrong. A body that is declared as UTF-8 and is valid UTF-8 is not affected.
	Charset encoding.Encoding
}

// ParseWith is Parse with options.
func ParseWith(raw []byte, o Options) (*Parsed, error) {
	return guard(func() (*Parsed, error) { return parse(raw, o) })
}

// guard turns a panic of a decoder into *Malformed.
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

	c := collector{t: t, textReader: textReader{charset: o.Charset}}
	c.collect(root)
	out := &Parsed{Attachments: c.attachments}
	out.Message, out.Received = c.message(root.fields)
	out.Message.Text = c.text.String()
	out.Message.HTML = c.html.String()
	out.Message.Defects = t.defects
	out.Malformed = t.malformed
	return out, nil
}

// prepare removes what may precede the header, converts a mail in UTF-16 to one-byte
// characters, and line ends of CR alone to LF.
func prepare(t *tree, raw []byte) []byte {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if markedUTF16(raw) || likeUTF16(raw) {
		t.record(DefectUTF16)
		raw = []byte(decodeUTF16(raw, false, false))
	}
	raw = bytes.TrimLeft(raw, "\r\n")
	if loneCR(raw) {
		if bytes.IndexByte(raw, '\n') >= 0 {
			t.record(DefectBareCR)
		}
		raw = unifyCR(raw)
	}
	for bytes.HasPrefix(raw, []byte("From ")) || bytes.HasPrefix(raw, []byte(">From ")) {
		_, raw = cutLine(raw)
	}
	return raw
}
