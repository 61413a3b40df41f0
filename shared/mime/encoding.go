package mime

import (
	"bytes"
	"slices"
	"strings"
)

// content is the result of one reading of a transfer encoding.
type content struct {
	bytes []byte
	name  string // from uuencode
}

// encodings returns the transfer encodings that a part names, in lower case, without
// comments, quotes and punctuation around them. There should be one.
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

// plainEncoding reports whether an encoding leaves the bytes unchanged.
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

// bodyDecoder undoes the transfer encodings of parts.
type bodyDecoder struct {
	findings
}

// contentsOf undoes the transfer encoding of a part. The first content is the most
// likely. If other programs read different content, that follows, and a defect is
// recorded.
func (d *bodyDecoder) contentsOf(e *entity) []content {
	if e.read {
		return e.contents
	}

	e.read = true
	encodings := e.encodings()
	if len(encodings) > 1 {
		d.record(DefectEncodingTwice)
	} else if len(encodings) == 1 && !strings.EqualFold(strings.TrimSpace(e.get("content-transfer-encoding")), encodings[0]) {
		d.record(DefectEncodingOdd)
	}

	chosen := choose(encodings, e.body)
	e.contents = d.decodeBy(chosen, e.body)
	for _, other := range encodings {
		if other == chosen {
			continue
		}
		switch {
		case plainEncoding(other): // the encoded bytes hide no further content
		case !knownEncoding(other):
			d.record(DefectEncodingUnknown)
		case other == "base64" && !looksBase64(e.body), isUU(other) && !hasUU(e.body):
		default:
			d.addContents(e, d.decodeBy(other, e.body)...)
		}
	}

	if !knownEncoding(chosen) {
		d.record(DefectEncodingUnknown)
		d.guess(e)
	}

	return e.contents
}

// choose returns the encoding of a body that names several: the one that the body has.
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

// guess adds the decoded content of a body of unknown encoding that looks like base64 or
// uuencode.
func (d *bodyDecoder) guess(e *entity) {
	switch {
	case hasUU(e.body):
		d.addContents(e, d.decodeBy("uuencode", e.body)...)
	case looksBase64(e.body):
		d.addContents(e, d.decodeBy("base64", e.body)...)
	}
}

// addContents adds contents that a part does not have yet, within the budget.
func (d *bodyDecoder) addContents(e *entity, contents ...content) {
	for _, c := range contents {
		if len(c.bytes) == 0 || slices.ContainsFunc(e.contents, func(known content) bool { return bytes.Equal(known.bytes, c.bytes) }) {
			continue
		}
		if !d.spend(len(c.bytes)) {
			return
		}
		e.contents = append(e.contents, c)
	}
}

// decodeBy undoes one encoding. Bytes of an unknown one are not changed (RFC 2045 §6.4).
func (d *bodyDecoder) decodeBy(encoding string, body []byte) []content {
	switch {
	case encoding == "base64":
		return d.fromBase64(body)
	case encoding == "quoted-printable":
		return []content{{bytes: decodeQuotedPrintable(body)}}
	case isUU(encoding):
		return d.fromUU(body)
	default:
		return []content{{bytes: body}}
	}
}

// fromBase64 decodes base64 up to the first text that is not base64. If more base64
// follows, the second content is that of programs that skip such text.
func (d *bodyDecoder) fromBase64(body []byte) []content {
	decoded, met := decodeBase64(body)
	out := []content{{bytes: decoded}}
	if met.pieces {
		d.record(DefectBase64)
	}
	if moreBase64(met.rest) {
		d.record(DefectBase64)
		out = append(out, content{bytes: decodeBase64All(body)})
	}
	return out
}

// fromUU decodes the uuencoded files of a body.
func (d *bodyDecoder) fromUU(body []byte) []content {
	decoded, name, damaged := decodeUU(body)
	if damaged {
		d.record(DefectUuencode)
	}
	out := []content{{bytes: decoded, name: name}}
	if block, ok := nextUU(body, 0); ok {
		_, files := extractUU(body[block.end:])
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
