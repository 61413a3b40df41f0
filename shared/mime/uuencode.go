package mime

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxUUName is the longest name in characters in the begin line of uuencoded content.
const maxUUName = 301

// uuBegin parses the begin line of uuencoded content, with mode and name: as POSIX
// uuencode writes it, or with the file type in the mode and other blanks, which programs
// accept too.
func uuBegin(line []byte) (name string, base64, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte("begin"))
	if !ok {
		return "", false, false
	}
	rest, base64 = bytes.CutPrefix(rest, []byte("-base64"))

	mode := bytes.TrimLeft(rest, " \t")
	blanks := bytes.TrimLeft(mode, "01234567")
	title := bytes.TrimLeft(blanks, " \t")
	digits := len(mode) - len(blanks)
	switch {
	case len(mode) == len(rest), digits < 3, digits > 7, len(title) == len(blanks):
		return "", false, false
	case len(title) == 0, title[0] == '\f', utf8.RuneCount(title) > maxUUName:
		return "", false, false
	}
	return string(bytes.TrimSpace(title)), base64, true
}

// uuBlock is one uuencoded file in a text.
type uuBlock struct {
	name       string
	content    []byte
	start, end int // in the text, its last line included
	damaged    bool
}

// nextUU returns the first uuencoded file of b at or after from, which is the start of a
// line. A begin line that no line of content follows is text.
func nextUU(b []byte, from int) (uuBlock, bool) {
	for at := from; at < len(b); {
		i := bytes.Index(b[at:], []byte("begin"))
		if i < 0 {
			return uuBlock{}, false
		}
		at += i
		if at > 0 && b[at-1] != '\n' && b[at-1] != '\r' {
			at += len("begin")
			continue
		}
		line, rest, _ := cutHeaderLine(b[at:])
		if name, base64, ok := uuBegin(line); ok {
			block := uuBlock{name: name, start: at}
			block.read(rest, base64)
			block.end += len(b) - len(rest)
			if len(block.content) > 0 {
				return block, true
			}
		}
		at += len("begin")
	}

	return uuBlock{}, false
}

// read decodes lines up to the end line, or to a line that is no content.
func (u *uuBlock) read(b []byte, base64 bool) {
	rest := b
	var text []byte
	for len(rest) > 0 {
		line, after, _ := cutHeaderLine(rest)
		trimmed := bytes.TrimRight(line, " \t")
		if string(trimmed) == "end" && !base64 || base64 && string(trimmed) == "====" {
			rest = after
			break
		}
		if base64 {
			if !alphabetic(trimmed) {
				u.damaged = true
				break
			}
			text = append(text, trimmed...)
		} else if len(trimmed) > 0 {
			decoded, ok := uuLine(line)
			if !ok || len(u.content) > uuBound(len(b)-len(rest)) {
				u.damaged = true
				break
			}
			u.content = append(u.content, decoded...)
		}
		rest = after
	}

	if base64 {
		u.content, _ = decodeBase64(text)
	}

	u.end = len(b) - len(rest)
}

// uuBound returns the highest number of bytes that size bytes of uuencode may decode to.
// It is more than usual because blanks at the ends of lines may have been removed.
func uuBound(size int) int { return 2*size + 4<<10 }

// uuLine decodes one line. Blanks at its end may have been removed, and a checksum
// character may follow.
func uuLine(line []byte) ([]byte, bool) {
	if line[0] < ' ' || line[0] > '`' {
		return nil, false
	}

	n := int(line[0]-' ') & 0x3f
	want := (n + 2) / 3 * 4
	chars := line[1:]
	if len(chars) > want+3 || want == 0 && len(bytes.TrimRight(chars, " `")) > 0 {
		return nil, false
	}

	chars = chars[:min(len(chars), want)]
	out := make([]byte, 0, want/4*3)
	var group uint32
	for i := range want {
		var v byte
		if i < len(chars) {
			if chars[i] < ' ' || chars[i] > '`' {
				return nil, false
			}
			v = (chars[i] - ' ') & 0x3f
		}
		if group = group<<6 | uint32(v); i%4 == 3 {
			out = append(out, byte(group>>16), byte(group>>8), byte(group)) //nolint:gosec // the low bytes
			group = 0
		}
	}

	return out[:n], true
}

// decodeUU undoes uuencode as a transfer encoding: the first file of the body or, without
// a begin line, all lines of content.
func decodeUU(body []byte) (content []byte, name string, damaged bool) {
	if block, ok := nextUU(body, 0); ok {
		return block.content, block.name, block.damaged
	}
	first, _, _ := cutHeaderLine(bytes.TrimLeft(body, "\r\n"))
	if name, _, ok := uuBegin(first); ok { // an empty file
		return []byte{}, name, false
	}
	for rest := body; len(rest) > 0; {
		line, after, _ := cutHeaderLine(rest)
		if len(line) > 0 && len(content) <= uuBound(len(body)-len(rest)) {
			if decoded, ok := uuLine(line); ok {
				content = append(content, decoded...)
			}
		}
		rest = after
	}
	return content, "", true
}

// isUU reports whether a transfer encoding is uuencode.
func isUU(encoding string) bool {
	switch strings.TrimPrefix(encoding, "x-") {
	case "uuencode", "uue", "uu", "uuencoded":
		return true
	}
	return false
}

// extractUU removes the uuencoded files from a text and returns them.
func extractUU(text []byte) (left []byte, files []uuBlock) {
	if !bytes.Contains(text, []byte("begin")) {
		return text, nil
	}
	at := 0
	for len(files) < MaxParts {
		block, ok := nextUU(text, at)
		if !ok {
			break
		}
		left = append(left, text[at:block.start]...)
		at = block.end
		files = append(files, block)
	}
	if files == nil {
		return text, nil
	}
	return append(left, text[at:]...), files
}
