package mime

import (
	"bytes"
	"slices"
	"strings"
)

// content is what one reading of a transfer encoding makes of a body.
type content struct {
	bytes []byte
	name  string // that uuencode gives it
}

// encodings lists the transfer encodings that a part names, in lower case. There
// should be one; comments, quotes and punctuation around it are left out.
func (e *entity) encodings() []string {
	var list []string
	for _, value := range e.all("content-transfer-encoding") {
		words := strings.FieldsFunc(strings.ToLower(stripComments(decodeWords(value))), func(r rune) bool {
			return strings.ContainsRune(" \t,;:\"'<>()", r)
		})
		for _, w := range words {
			if !slices.Contains(list, w) {
				list = append(list, w)
			}
		}
	}
	return list
}

// encoded reports whether a multipart has a transfer encoding, which RFC 2045 §6.4
// forbids.
func (e *entity) encoded() bool {
	for _, encoding := range e.encodings() {
		if !plainEncoding(encoding) && knownEncoding(encoding) {
			return true
		}
	}
	return false
}

// plainEncoding reports encodings that leave the bytes as they are.
func plainEncoding(encoding string) bool {
	switch encoding {
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit", "none", "7bits", "8bits", "7", "8", "bit":
		return true
	}
	return false
}

func knownEncoding(encoding string) bool {
	return encoding == "base64" || encoding == "quoted-printable" || isUU(encoding) || plainEncoding(encoding)
}

// contentsOf undoes the transfer encoding of a part. The first content is the
// likeliest; others follow where readers find something else, and a defect is noted.
func (t *tree) contentsOf(e *entity) []content {
	if e.read {
		return e.contents
	}

	e.read = true
	encodings := e.encodings()
	if len(encodings) > 1 {
		t.note(DefectEncodingTwice)
	} else if len(encodings) == 1 && !strings.EqualFold(strings.TrimSpace(e.get("content-transfer-encoding")), encodings[0]) {
		t.note(DefectEncodingOdd)
	}

	chosen := choose(encodings, e.body)
	e.contents = t.decodeBy(chosen, e.body)
	for _, other := range encodings {
		if other == chosen {
			continue
		}
		switch {
		case plainEncoding(other): // what is left encoded hides nothing more
		case !knownEncoding(other):
			t.note(DefectEncodingUnknown)
		case other == "base64" && !looksBase64(e.body), isUU(other) && !hasUU(e.body):
		default:
			t.more(e, t.decodeBy(other, e.body)...)
		}
	}

	if !knownEncoding(chosen) {
		t.note(DefectEncodingUnknown)
		t.guess(e)
	}

	return e.contents
}

// choose picks the encoding of a body that names several: the one that the body is in.
func choose(encodings []string, body []byte) string {
	if len(encodings) == 0 {
		return ""
	}
	if len(encodings) == 1 {
		return encodings[0]
	}
	for _, encoding := range encodings {
		if encoding == "base64" && looksBase64(body) || isUU(encoding) && hasUU(body) {
			return encoding
		}
	}
	for _, encoding := range encodings {
		if knownEncoding(encoding) && !plainEncoding(encoding) && encoding != "base64" && !isUU(encoding) {
			return encoding
		}
	}
	return encodings[0]
}

// guess adds what a body of unknown encoding is where it looks like a known one.
func (t *tree) guess(e *entity) {
	switch {
	case hasUU(e.body):
		t.more(e, t.decodeBy("uuencode", e.body)...)
	case looksBase64(e.body):
		t.more(e, t.decodeBy("base64", e.body)...)
	}
}

// more adds contents to those of a part that are not there yet, within the budget.
func (t *tree) more(e *entity, contents ...content) {
	for _, c := range contents {
		if len(c.bytes) == 0 || slices.ContainsFunc(e.contents, func(known content) bool { return bytes.Equal(known.bytes, c.bytes) }) {
			continue
		}
		if t.budget -= len(c.bytes); t.budget < 0 {
			t.exceed("it can be read in more ways than are looked at")
			return
		}
		e.contents = append(e.contents, c)
	}
}

// decodeBy undoes one encoding. An unknown one leaves the bytes as they came (RFC
// 2045 §6.4).
func (t *tree) decodeBy(encoding string, body []byte) []content {
	switch {
	case encoding == "base64":
		return t.fromBase64(body)
	case encoding == "quoted-printable":
		return []content{{bytes: decodeQuotedPrintable(body)}}
	case isUU(encoding):
		return t.fromUU(body)
	default:
		return []content{{bytes: body}}
	}
}

// fromBase64 decodes base64 up to what is none, and, where more of it follows, as
// readers do that skip what is none.
func (t *tree) fromBase64(body []byte) []content {
	decoded, met := decodeBase64(body)
	out := []content{{bytes: decoded}}
	if met.pieces {
		t.note(DefectBase64)
	}
	if moreBase64(met.rest) {
		t.note(DefectBase64)
		out = append(out, content{bytes: decodeBase64All(body)})
	}
	return out
}

// fromUU decodes the uuencoded files of a body.
func (t *tree) fromUU(body []byte) []content {
	decoded, name, damaged := decodeUU(body)
	if damaged {
		t.note(DefectUuencode)
	}
	out := []content{{bytes: decoded, name: name}}
	if block, ok := nextUU(body, 0); ok {
		_, files := takeUU(body[block.end:])
		for _, f := range files {
			out = append(out, content{bytes: f.content, name: f.name})
		}
	}
	return out
}

func hasUU(body []byte) bool {
	_, ok := nextUU(body, 0)
	return ok
}
