package mime

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"mailroom/shared/mail"
	"mailroom/shared/mime/filename"
)

// collector gathers the leaves of a mail.
type collector struct {
	textReader

	t           *tree
	root        *entity
	text, html  strings.Builder
	named       []*entity // texts with a name, which may be the body
	attachments []mail.Attachment
	seen        map[string]bool // SHA-256 of attachments
	other       bool            // this is another reading of the mail
}

// collect gathers the leaves of the first reading, then those of the others.
func (c *collector) collect(root *entity) {
	c.root = root
	c.seen = map[string]bool{}
	c.hint = c.hintOf(root)
	c.chooseBody(root)
	c.walk(root, true)
	c.other = true
	for _, e := range c.t.others {
		c.walk(e, false)
	}
}

// textKind returns "plain", "html" or, for a part that is no body text, "". A multipart
// without any part is text whose boundary was lost, and a mail of an unknown text
// subtype is plain text (RFC 2046 §4.1.4).
func (c *collector) textKind(e *entity) string {
	kind := ""
	if e == c.root && len(e.types) == 1 && strings.HasPrefix(e.mediaType, "text/") && e.mediaType != "text/html" &&
		filename.Extension(e.mediaType) == ".bin" {
		return "plain"
	}

	for _, m := range e.types {
		switch {
		case m.kind == "text/html":
			kind = "html"
		case m.kind == "text/plain" || strings.HasPrefix(m.kind, "multipart"):
		case m.kind == e.mediaType, strings.Contains(m.kind, "/"):
			return ""
		}
	}

	switch {
	case kind == "html" && (e.mediaType == "text/html" || e.mediaType == "text/plain"):
		return "html"
	case e.mediaType == "text/plain", strings.HasPrefix(e.mediaType, "multipart"):
		return "plain"
	}

	return ""
}

// chooseBody finds the texts that are the body although they have a file name: if every
// text has one, the only one of its kind that is to be shown (RFC 2183 §2.1) or the one
// at the beginning of the mail, and alternatives of each other (RFC 2046 §5.1.4).
func (c *collector) chooseBody(root *entity) {
	plain, html, nameless := []*entity{}, []*entity{}, false
	var firstLeaf *entity
	var look func(e *entity, top bool)
	look = func(e *entity, top bool) {
		for _, child := range e.children {
			look(child, false)
		}
		c.alternatives(e)
		if len(e.children) > 0 || e.cut {
			return
		}
		if firstLeaf == nil {
			firstLeaf = e
		}
		kind := c.textKind(e)
		switch {
		case kind == "" || e.disposition == "attachment":
		case e.name(&c.textReader) == "" || top && e.disposition == "":
			nameless = nameless || len(bytes.TrimSpace(c.t.contentsOf(e)[0].bytes)) > 0
		case kind == "html":
			html = append(html, e)
		default:
			plain = append(plain, e)
		}
	}

	look(root, true)
	if nameless {
		return
	}

	for _, list := range [][]*entity{plain, html} {
		if len(list) == 1 || len(list) > 1 && list[0] == firstLeaf && list[0].disposition == "inline" {
			c.named = append(c.named, list[0])
		}
	}
}

// alternatives finds texts with a name that are the only ones of their kind in a
// multipart/alternative, all of which is the body in one form or another.
func (c *collector) alternatives(e *entity) {
	if e.mediaType != "multipart/alternative" {
		return
	}
	kinds := map[string][]*entity{}
	for _, child := range e.children {
		if kind := c.textKind(child); kind != "" && len(child.children) == 0 && child.disposition != "attachment" && !child.cut {
			kinds[kind] = append(kinds[kind], child)
		}
	}
	for _, list := range kinds {
		if len(list) == 1 {
			c.named = append(c.named, list[0])
		}
	}
}

func (c *collector) isNamedBody(e *entity) bool { return slices.Contains(c.named, e) }

func (c *collector) walk(e *entity, root bool) {
	if len(e.children) > 0 {
		for _, child := range e.children {
			c.walk(child, false)
		}
		return
	}
	if e.cut {
		return
	}

	contents := c.t.contentsOf(e)
	name := e.name(&c.textReader)
	kind := c.textKind(e)
	body := kind != "" && (e.disposition != "attachment" && (name == "" || root && e.disposition == "") || c.isNamedBody(e))
	if body && magic(contents[0].bytes) {
		c.t.record(DefectTextTypes)
		body = false
	}
	if body {
		text := contents[0].bytes
		if slices.Equal(e.encodings(), []string{"base64"}) && words(e.body) {
			c.t.record(DefectEncodingOdd)
			text = e.body // a text that is not encoded
		}
		c.body(e, kind, text)
		contents = contents[1:]
	}

	for _, content := range contents {
		given := name
		if given == "" {
			given = content.name
		}
		c.attach(attachment(e, given, content.bytes))
	}
}

// body appends a text to the body. Uuencoded files in a plain text are attachments.
func (c *collector) body(e *entity, kind string, content []byte) {
	if kind == "plain" {
		left, files := extractUU(content)
		content = left
		for _, f := range files {
			if f.damaged {
				c.t.record(DefectUuencode)
			}
			c.attach(attachment(&entity{}, c.decodeName(f.name, ""), f.content))
		}
	}
	if c.other {
		return
	}
	if kind == "html" {
		add(&c.html, c.bodyText(content, e.charset(), true))
		return
	}
	add(&c.text, c.bodyText(content, e.charset(), false))
}

// attach adds an attachment. Of another reading it adds only new content.
func (c *collector) attach(a mail.Attachment) {
	if c.other && c.seen[a.SHA256] {
		return
	}
	c.seen[a.SHA256] = true
	if len(c.attachments) == MaxParts {
		c.t.exceed("it has more than 1,000 attachments")
		return
	}
	c.attachments = append(c.attachments, a)
}

// add appends one text to those before it.
func add(to *strings.Builder, text string) {
	if text == "" {
		return
	}
	if to.Len() > 0 {
		to.WriteByte('\n')
	}
	to.WriteString(text)
}

// hintOf returns the character set of the mail: that of its first text that declares one
// other than ASCII.
func (c *collector) hintOf(e *entity) string {
	for _, child := range e.children {
		if hint := c.hintOf(child); hint != "" {
			return hint
		}
	}

	kind := c.textKind(e)
	if len(e.children) > 0 || kind == "" || e.disposition == "attachment" || e.cut {
		return ""
	}

	declared := charsetLabel(e.charset())
	if declared == "" {
		content := c.t.contentsOf(e)[0].bytes
		if ascii(content) && !bytes.Contains(content, []byte("\x1b$")) {
			return ""
		}
		_, declared = toText(content[:min(len(content), detectLen)], "", kind == "html")
	}
	if isUTF8(declared) || isASCII(declared) || isUTF7(declared) || strings.HasPrefix(declared, "utf") || charsetOf(declared) == nil {
		return ""
	}

	return declared
}

// charset returns the character set that a part declares.
func (e *entity) charset() string {
	for _, m := range e.types {
		if value, _, ok := m.get("charset"); ok && value != "" {
			return value
		}
	}
	return ""
}

func attachment(e *entity, name string, content []byte) mail.Attachment {
	if name != "" && strings.HasPrefix(e.declared, "message/") &&
		filename.Extension(e.declared) == ".eml" && !strings.HasSuffix(strings.ToLower(name), ".eml") {
		name += ".eml"
	}
	if content == nil {
		content = []byte{}
	}
	sum := sha256.Sum256(content)
	return mail.Attachment{
		Filename:     filename.Clean(name, e.mediaType),
		ContentType:  clean(e.declared),
		ContentID:    clean(strings.Trim(e.get("content-id"), "<> \t")),
		DeclaredSize: -1,
		Content:      content,
		Size:         int64(len(content)),
		SHA256:       hex.EncodeToString(sum[:]),
	}
}

// magic reports whether b begins like a binary file, whatever its name.
func magic(b []byte) bool {
	for _, prefix := range []string{
		"PK\x03\x04", "PK\x05\x06", "%PDF-", "MZ\x90\x00", "\x7fELF", "Rar!\x1a\x07", "7z\xbc\xaf\x27\x1c", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
		"\x1f\x8b\x08", "\xfd7zXZ\x00", "MSCF\x00\x00", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "GIF87a", "GIF89a", "\x28\xb5\x2f\xfd",
	} {
		if bytes.HasPrefix(b, []byte(prefix)) {
			return true
		}
	}
	return len(b) > 10 && string(b[:3]) == "BZh" && string(b[4:10]) == "1AY&SY"
}
