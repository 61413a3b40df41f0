package mime

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"golang.org/x/text/encoding"

	"mailroom/shared/mail"
	"mailroom/shared/mime/filename"
)

// The limits of a mail. What exceeds one is Malformed.
const (
	MaxDepth        = 16       // multiparts and attached messages inside one another
	MaxParts        = 1000     // parts, those of attached messages included
	MaxFields       = 1000     // header fields of the mail or of one part
	MaxField        = 64 << 10 // bytes of one unfolded header field
	MaxAddressField = 1 << 20  // the same for fields that list addresses
	MaxHeader       = 2 << 20  // bytes of the header of the mail or of one part
)

// Malformed says why a mail cannot be parsed, in a sentence without mail content.
type Malformed struct {
	Reason string
}

// Error gives the sentence.
func (m *Malformed) Error() string { return "mail is malformed: " + m.Reason }

// Parsed is one mail. Content of attachments may share memory with the raw mail.
type Parsed struct {
	Message     mail.Message
	Attachments []mail.Attachment
	// Received counts the Received fields: the hosts that the mail has passed.
	Received int
}

// Parse reads raw. Line ends may be CRLF, LF or CR alone; a byte order mark, empty
// lines and an mbox "From " line before the header are skipped. Text and HTML have
// LF line ends; of several text parts all are kept, one after the other. Every
// part that is not text to read is an attachment: with its own bytes decoded, its
// file name cleaned, its size and hash filled in; an attached message is one
// attachment ending in ".eml".
//
// The only error is *Malformed: the same bytes give it again.
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
	raw = prepare(raw)
	if len(raw) == 0 {
		return nil, &Malformed{Reason: "it is empty"}
	}
	root, err := (&tree{charset: o.Charset}).read(raw, "text/plain", 1)
	if err != nil {
		return nil, err
	}
	out := &Parsed{}
	out.Message, out.Received = message(root.fields)
	c := collector{charset: o.Charset}
	c.walk(root, true)
	out.Message.Text = c.text.String()
	out.Message.HTML = c.html.String()
	out.Attachments = c.attachments
	return out, nil
}

// CleanFilename makes a file name of the sender's safe: see package filename.
func CleanFilename(name string) string { return filename.Clean(name, "") }

// prepare drops what may stand before the header and turns the line ends of a mail
// that has CR alone into LF.
func prepare(raw []byte) []byte {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	raw = bytes.TrimLeft(raw, "\r\n")
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') >= 0 {
		raw = bytes.ReplaceAll(raw, []byte{'\r'}, []byte{'\n'})
	}
	if bytes.HasPrefix(raw, []byte("From ")) || bytes.HasPrefix(raw, []byte(">From ")) {
		_, raw = cutLine(raw)
	}
	return raw
}

// collector gathers the leaves of a mail.
type collector struct {
	charset     encoding.Encoding // nil: what the mail says
	text, html  strings.Builder
	attachments []mail.Attachment
}

func (c *collector) walk(e *entity, root bool) {
	if len(e.children) > 0 {
		for _, child := range e.children {
			c.walk(child, false)
		}
		return
	}
	content := e.content()
	name := e.name()
	body := e.disposition != "attachment" && (name == "" || root && e.disposition == "")
	switch {
	case body && (e.mediaType == "text/plain" || strings.HasPrefix(e.mediaType, "multipart/")):
		// A multipart without any part is text that lost its boundary.
		add(&c.text, c.read(content, e.params["charset"], false))
	case body && e.mediaType == "text/html":
		add(&c.html, c.read(content, e.params["charset"], true))
	default:
		c.attachments = append(c.attachments, attachment(e, name, content))
	}
}

// add appends one body to those before it.
func add(to *strings.Builder, text string) {
	if text == "" {
		return
	}
	if to.Len() > 0 {
		to.WriteByte('\n')
	}
	to.WriteString(text)
}

func attachment(e *entity, name string, content []byte) mail.Attachment {
	if name != "" && strings.HasPrefix(e.mediaType, "message/") &&
		filename.Extension(e.mediaType) == ".eml" && !strings.HasSuffix(strings.ToLower(name), ".eml") {
		name += ".eml"
	}
	if content == nil {
		content = []byte{}
	}
	declared := clean(e.mediaType)
	if e.undeclared { // nothing was claimed that the content could contradict
		declared = ""
	}
	sum := sha256.Sum256(content)
	return mail.Attachment{
		Filename:     filename.Clean(name, e.mediaType),
		ContentType:  declared,
		ContentID:    clean(strings.Trim(e.get("content-id"), "<> \t")),
		DeclaredSize: -1,
		Content:      content,
		Size:         int64(len(content)),
		SHA256:       hex.EncodeToString(sum[:]),
	}
}
