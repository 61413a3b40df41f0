package inspection

import (
	"bytes"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"mailroom/shared/mime"
)

// headLen is the number of leading bytes by which a message is recognised.
const headLen = 3072

// label is the name and the type that the sender declared for content.
type label struct{ name, declared string }

// message reports whether a program may open content as a mail, by its label or its
// beginning. A scanner that checks only for the usual fields would see text.
func (l label) message(content []byte) bool {
	if len(content) == 0 {
		return false
	}
	if strings.HasPrefix(essence(l.declared), "message/") || strings.HasSuffix(strings.ToLower(l.name), ".eml") {
		return true
	}
	head := content[:min(len(content), headLen)]
	if mimetype.Detect(head).Is("message/rfc822") {
		return true
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), "\r\n")
	for _, field := range []string{"content-type:", "mime-version:"} {
		if len(head) >= len(field) && strings.EqualFold(string(head[:len(field)]), field) {
			return true
		}
	}
	return false
}

// message walks the parts of a message that is the depth-th layer, and keeps them for
// the scanner.
func (w *walker) message(content []byte, depth int) error {
	if err := w.layer(depth); err != nil {
		return err
	}

	parsed, err := mime.Parse(content)
	if err != nil {
		w.met.malformed = true // its only error
		return nil
	}

	w.met.malformed = w.met.malformed || parsed.Malformed != nil
	for _, body := range []string{parsed.Message.Text, parsed.Message.HTML} {
		if err := w.part([]byte(body), label{declared: "text/plain"}, depth); err != nil {
			return err
		}
	}

	for _, a := range parsed.Attachments {
		if err := w.part(a.Content, label{name: a.Filename, declared: a.ContentType}, depth); err != nil {
			return err
		}
	}

	return nil
}

func (w *walker) part(content []byte, as label, depth int) error {
	if len(content) == 0 {
		return nil
	}
	if err := w.entry(); err != nil {
		return err
	}
	if err := w.count(len(content)); err != nil {
		return err
	}
	// Not released before the walk ends: it stays in memory until it is scanned.
	if w.hold(len(content)); w.nested > w.limits.Nested {
		return w.tooLarge()
	}
	w.met.inner = append(w.met.inner, content)
	return w.whole(content, as, depth)
}
