package mime

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/jhillyerd/enmime/v2/mediatype"
	"golang.org/x/text/encoding"
)

// Bounds of a Content-Type or Content-Disposition field, whose parsing is
// quadratic in the number of parameters, and of a boundary (RFC 2046 §5.1.1 says 70).
const (
	maxMediaType = 8 << 10
	maxParams    = 64
	maxBoundary  = 256
)

var boundaryParam = regexp.MustCompile(`(?i)boundary\s*=\s*"?([^";]+)"?`)

// entity is one node of the mail: the mail itself or a part. Its slices share
// memory with the mail.
type entity struct {
	fields      []field
	body        []byte
	mediaType   string // lower case, without parameters; implied where it is not declared
	undeclared  bool   // text/plain stands in for a media type that is missing or cannot be read
	params      map[string]string
	disposition string // lower case
	dispParams  map[string]string
	children    []*entity
}

// tree reads entities and counts them.
type tree struct {
	charset encoding.Encoding // of bytes in headers that are not UTF-8; nil: Windows-1252
	parts   int
}

// read cuts raw into header and body and goes on into its parts. implied is the
// media type of an entity that names none. level is how deep a container at this
// place would be.
func (t *tree) read(raw []byte, implied string, level int) (*entity, error) {
	if t.parts++; t.parts > MaxParts {
		return nil, &Malformed{Reason: "it has more than 1,000 parts"}
	}
	e := &entity{}
	var err error
	if e.fields, e.body, err = readHeader(raw, t.charset); err != nil {
		return nil, err
	}
	if e.mediaType, e.params, err = parseMediaType(e.get("content-type")); err != nil {
		return nil, err
	}
	if e.disposition, e.dispParams, err = parseMediaType(e.get("content-disposition")); err != nil {
		return nil, err
	}
	if !strings.Contains(e.mediaType, "/") {
		e.mediaType, e.undeclared = implied, implied == "text/plain"
	}
	return e, t.descend(e, level)
}

// descend reads the parts of a multipart. Attached messages stay whole; they are
// read all the same so that nesting hidden in them counts.
func (t *tree) descend(e *entity, level int) error {
	multipart := strings.HasPrefix(e.mediaType, "multipart/")
	attached := e.mediaType == "message/rfc822" && identity(e.encoding())
	if !multipart && !attached {
		return nil
	}
	if level > MaxDepth {
		return &Malformed{Reason: "its parts are nested more than 16 levels deep"}
	}
	if attached {
		_, err := t.read(prepare(e.body), "text/plain", level+1)
		return err
	}
	boundary := strings.TrimRight(e.params["boundary"], " \t")
	if len(boundary) > maxBoundary {
		return &Malformed{Reason: "a boundary is longer than 256 bytes"}
	}
	if boundary == "" {
		return nil
	}
	implied := "text/plain"
	if e.mediaType == "multipart/digest" { // RFC 2046 §5.1.5
		implied = "message/rfc822"
	}
	for _, part := range split(e.body, boundary, MaxParts+1) {
		child, err := t.read(part, implied, level+1)
		if err != nil {
			return err
		}
		e.children = append(e.children, child)
	}
	return nil
}

// split cuts the body of a multipart along its delimiter lines (RFC 2046 §5.1.1),
// without preamble and epilogue, into at most limit parts. The line break before a
// delimiter belongs to it. A body that is not closed ends with its last byte.
func split(body []byte, boundary string, limit int) [][]byte {
	var parts [][]byte
	delimiter := []byte("--" + boundary)
	start, at := -1, 0
	for len(parts) < limit {
		i := bytes.Index(body[at:], delimiter)
		if i < 0 {
			break
		}
		line := at + i
		at = line + 1
		if line > 0 && body[line-1] != '\n' {
			continue
		}
		rest := body[line+len(delimiter):]
		closing := bytes.HasPrefix(rest, []byte("--"))
		tail, _ := cutLine(rest)
		if !closing && len(bytes.TrimRight(tail, " \t\r")) > 0 {
			continue
		}
		if start >= 0 {
			parts = append(parts, trimBreak(body[start:line]))
		}
		if closing {
			return parts
		}
		at = min(line+len(delimiter)+len(tail)+1, len(body))
		start = at
	}
	if start >= 0 && len(parts) < limit && len(bytes.TrimSpace(body[start:])) > 0 {
		parts = append(parts, body[start:])
	}
	return parts
}

// trimBreak removes one line break from the end.
func trimBreak(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}

// cutLine gives the first line without its LF and what follows it.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	return line, rest
}

// parseMediaType reads a Content-Type or Content-Disposition value, tolerantly:
// what cannot be read at all gives an empty type. Only a value beyond its bounds is
// an error.
func parseMediaType(value string) (string, map[string]string, error) {
	if value == "" {
		return "", nil, nil
	}
	if len(value) > maxMediaType || strings.Count(value, ";") > maxParams {
		return "", nil, &Malformed{Reason: "a Content-Type or Content-Disposition field is longer than 8 KiB or has more than 64 parameters"}
	}
	kind, params, _, err := mediatype.Parse(value)
	multipart := strings.HasPrefix(strings.ToLower(strings.TrimSpace(value)), "multipart/")
	if err != nil || multipart {
		// Comments are rare (RFC 2045 §5.1) and would become part of a boundary;
		// elsewhere a parenthesis is more likely part of an unquoted file name.
		kind, params, _, err = mediatype.Parse(stripComments(value))
	}
	if err != nil {
		kind, _, _ = strings.Cut(value, ";")
		params = map[string]string{}
		if m := boundaryParam.FindStringSubmatch(value); multipart && m != nil {
			params["boundary"] = m[1]
		}
	}
	return strings.ToLower(strings.TrimSpace(kind)), params, nil
}

// stripComments removes what stands in parentheses outside of quotes (RFC 5322 §3.2.2).
func stripComments(s string) string {
	var out strings.Builder
	depth, quoted, escaped := 0, false, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		keep := depth == 0
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
			keep = false
		case c == ')' && depth > 0:
			depth--
			keep = false
		}
		if keep {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// name is the file name that the sender gave, RFC 2047 words decoded (which RFC
// 2231 forbids and every mail program writes); empty when there is none.
func (e *entity) name() string {
	for _, name := range []string{e.dispParams["filename"], e.params["name"], e.params["file"]} {
		if name = strings.TrimSpace(decodeWords(name)); name != "" {
			return name
		}
	}
	return ""
}
