package mime

import (
	"bytes"
	"strings"
)

// entity is the mail or one of its parts. Its slices share memory with the mail.
type entity struct {
	fields       []field
	body         []byte
	types        []media // of the Content-Type fields, readable ones first
	mediaType    string  // of the first of them, or the default for its position
	declared     string  // the same if the sender declared it, otherwise empty
	disposition  string  // lower case
	dispositions []media
	children     []*entity
	contents     []content // of a leaf; several if programs read it differently
	read         bool      // contents are decoded
	cut          bool      // a multipart beyond the limit of depth
}

// tree reads a mail into a tree of entities.
type tree struct {
	bodyDecoder

	parts    int
	attached int             // attached messages around the current entity
	declared map[string]bool // the boundaries of the mail
	others   []*entity       // other readings of its parts
	later    []func()        // makes these, after the first reading of the mail
}

// newTree returns a tree for a mail of size bytes.
func newTree(size int) *tree {
	t := &tree{declared: map[string]bool{}}
	t.budget = 2*size + 256<<10
	return t
}

// readMail reads a whole mail, and then makes the other readings of its parts.
func (t *tree) readMail(raw []byte) *entity {
	root := t.read(raw, "text/plain", 1, true)
	for len(t.later) > 0 {
		next := t.later[0]
		t.later = t.later[1:]
		next()
	}
	return root
}

// read reads header, body and parts of an entity. implied is its media type if it names
// none. level is the depth of a container at this position. It returns nil beyond the
// limit of parts.
func (t *tree) read(raw []byte, implied string, level int, mail bool) *entity {
	if t.parts++; t.parts > MaxParts {
		t.exceed("it has more than 1,000 parts")
		return nil
	}
	e := &entity{}
	e.fields, e.body = t.readHeader(raw, mail)
	if !mail {
		e.fields, e.body = t.rejoin(raw, e.fields, e.body)
	}
	t.readTypes(e, implied)
	t.descend(e, level)
	return e
}

// readTypes reads the Content-Type and Content-Disposition fields.
func (t *tree) readTypes(e *entity, implied string) {
	for _, f := range e.fields {
		if structural(f.name) && strings.IndexByte(f.value, 0) >= 0 {
			t.record(DefectNUL)
		}
	}

	var unreadable []media
	for _, value := range e.all("content-type") {
		m := t.media(value)
		if major, minor, _ := strings.Cut(m.kind, "/"); major == "" || minor == "" && major != "multipart" {
			unreadable = append(unreadable, m)
			continue
		}
		e.types = append(e.types, m)
	}

	if len(e.types)+len(unreadable) > 1 {
		t.record(DefectTypeTwice)
	}

	e.mediaType = implied
	if len(e.types) > 0 {
		e.mediaType = e.types[0].kind
		e.declared = e.mediaType
	} else if len(unreadable) == 0 && implied != "text/plain" {
		e.declared = implied
	}

	e.types = append(e.types, unreadable...)
	for _, value := range e.all("content-disposition") {
		e.dispositions = append(e.dispositions, t.media(value))
	}

	if len(e.dispositions) > 0 {
		e.disposition = e.dispositions[0].kind
	}
}

func (t *tree) media(value string) media {
	m, whole := readMedia(value)
	if !whole {
		t.exceed("a Content-Type or Content-Disposition field has more than 1,000 parameters")
	}
	return m
}

// multipart reports whether any Content-Type is a multipart.
func (e *entity) multipart() bool {
	for _, m := range e.types {
		if strings.HasPrefix(m.kind, "multipart") {
			return true
		}
	}
	return false
}

// descend reads the parts of a multipart. Attached messages stay whole, but are read
// too, so that their nesting counts and their defects are known.
func (t *tree) descend(e *entity, level int) {
	multipart := e.multipart()
	message := e.mediaType == "message/rfc822" || e.mediaType == "message/global"
	switch e.mediaType {
	case "message/partial":
		t.record(DefectPartial)
		t.incomplete("it is one piece of a mail that was sent in several (message/partial)")
	case "message/external-body":
		t.record(DefectExternal)
	}

	boundary := !multipart && !message && e.hasBoundary()
	if !multipart && !message && !boundary {
		return
	}
	if level > MaxDepth {
		t.exceed("its parts are nested more than 16 levels deep")
		e.cut = multipart
		return
	}
	if boundary {
		t.readUndeclared(e, level)
		return
	}
	if multipart && t.readParts(e, level) || !message {
		return
	}

	t.attached++
	t.read(prepare(t, t.contentsOf(e)[0].bytes), "text/plain", level+1, true)
	t.attached--
}

// hasBoundary reports whether a Content-Type has a boundary.
func (e *entity) hasBoundary() bool {
	for _, m := range e.types {
		for _, p := range m.params {
			if strings.HasPrefix(p.name, "boundary") {
				return true
			}
		}
	}
	return false
}

// readUndeclared splits a body that has a boundary and is no multipart. If it has no
// type, it is read as a multipart; otherwise that is a further reading.
func (t *tree) readUndeclared(e *entity, level int) {
	boundaries := t.occurring(e, e.body)
	if len(boundaries) == 0 {
		return
	}
	t.record(DefectBoundary)
	if e.declared == "" {
		e.children = t.cut(e, e.body, boundaries[0], level)
		boundaries = boundaries[1:]
	}
	if len(boundaries) > 0 {
		t.readLater(len(e.body)*len(boundaries), func() { t.cutAll(e, e.body, boundaries, level) })
	}
}

// readParts splits a multipart by the first of its boundaries that occurs, and reports
// whether one does. Readings of other programs are made later.
func (t *tree) readParts(e *entity, level int) bool {
	body := e.body
	boundaries := t.occurring(e, body)
	if e.encoded() {
		t.record(DefectEncodedContainer)
		if len(boundaries) == 0 {
			body = t.contentsOf(e)[0].bytes
			boundaries = t.occurring(e, body)
		} else {
			t.readLater(len(body), func() {
				decoded := t.contentsOf(e)[0].bytes
				t.cutAll(e, decoded, t.occurring(e, decoded), level)
			})
		}
	}
	if len(boundaries) == 0 {
		t.record(DefectBoundaryMissing)
		if guessed, ok := guessBoundary(body); ok {
			t.readLater(len(body), func() { t.cutAll(e, body, []string{guessed}, level) })
		}
		return false
	}

	e.children = t.cut(e, body, boundaries[0], level)
	if others := boundaries[1:]; len(others) > 0 {
		t.record(DefectBoundary)
		for _, other := range others {
			t.readLater(len(body), func() { t.cutAll(e, body, []string{other}, level) })
		}
	}

	return true
}

// readLater plans another reading of a part that costs size bytes. There is none within
// attached messages: inspection reads those as mails of their own.
func (t *tree) readLater(size int, read func()) {
	if t.attached > 0 {
		return
	}
	t.later = append(t.later, func() {
		if !t.spend(size) {
			return
		}
		read()
	})
}

// cutAll adds the parts by each boundary to the other readings.
func (t *tree) cutAll(e *entity, body []byte, boundaries []string, level int) {
	for _, boundary := range boundaries {
		t.others = append(t.others, t.cut(e, body, boundary, level)...)
	}
}

// cut reads the parts of a body, split by a boundary.
func (t *tree) cut(e *entity, body []byte, boundary string, level int) []*entity {
	t.declared[boundary] = true
	implied := "text/plain"
	if e.mediaType == "multipart/digest" { // RFC 2046 §5.1.5
		implied = "message/rfc822"
	}
	s := split(body, boundary, MaxParts+1)
	if s.bareCR {
		t.record(DefectBareCR)
	}
	children := t.readAll(s.parts, implied, level)
	if rest := s.epilogue; occurs(rest, boundary) {
		t.record(DefectAfterEnd)
		t.readLater(len(rest), func() { t.cutAll(e, rest, []string{boundary}, level) })
	}
	if len(s.near) > 0 {
		t.readLater(len(body), func() { t.cutNear(body, boundary, s.near, implied, level) })
	}
	return children
}

func (t *tree) readAll(parts [][]byte, implied string, level int) []*entity {
	var out []*entity
	for _, part := range parts {
		if child := t.read(part, implied, level+1, false); child != nil {
			out = append(out, child)
		}
	}
	return out
}

// cutNear reads the parts of a body as programs do that accept every line beginning with
// a delimiter (RFC 2046 §5.1.1), unless it is the delimiter of another multipart.
func (t *tree) cutNear(body []byte, boundary string, near []string, implied string, level int) {
	foreign := false
	for _, line := range near {
		name := boundary + line
		foreign = foreign || !t.declared[name] && !t.declared[strings.TrimSuffix(name, "--")]
	}
	if !foreign {
		return
	}
	t.record(DefectBoundaryLine)
	parts := splitBy(body, boundary, MaxParts+1, func(tail []byte) bool {
		name := boundary + string(bytes.TrimRight(tail, " \t\r"))
		open := strings.TrimSuffix(name, "--")
		return name == boundary || open == boundary || !t.declared[name] && !t.declared[open]
	})
	t.others = append(t.others, t.readAll(parts, implied, level)...)
}
